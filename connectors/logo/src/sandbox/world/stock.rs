//! Running totals of stock.

use serde::{Deserialize, Serialize};

use super::{World, codes::WAREHOUSES, rng::Bits};

/// Quantities of one item in one warehouse, in ten-thousandths of the main unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Totals {
    pub on_hand: i64,
    pub reserved: i64,
    pub sales_orders: i64,
    pub purchase_orders: i64,
}

impl std::ops::AddAssign for Totals {
    fn add_assign(&mut self, other: Totals) {
        self.on_hand += other.on_hand;
        self.reserved += other.reserved;
        self.sales_orders += other.sales_orders;
        self.purchase_orders += other.purchase_orders;
    }
}

pub const WAREHOUSE_COUNT: usize = WAREHOUSES.len();

impl World {
    /// The item's totals by warehouse; `None` where it never was.
    pub fn stock(&self, n: u64, salt: u64) -> [Option<Totals>; WAREHOUSE_COUNT] {
        let mut bits = Bits::new(self.seed ^ salt.wrapping_mul(0x5851_f42d), 40, n);
        // Which warehouses have seen it does not follow from the salt: it changes quantities, not rows.
        let mut places = Bits::new(self.seed, 41, n);
        let fraction = n.is_multiple_of(7);
        std::array::from_fn(|warehouse| {
            let there = places.per_mille(if warehouse == 0 { 980 } else { 450 });
            if !there {
                return None;
            }
            let unit = if fraction { 2_500 } else { 10_000 };
            let on_hand = match bits.below(100) {
                0 => -(1 + bits.below(12) as i64),
                1..12 => 0,
                _ => bits.below(600) as i64,
            };
            let reserved = if on_hand > 4 && bits.per_mille(300) { bits.below(on_hand as u64 / 2) as i64 } else { 0 };
            let ordered = if bits.per_mille(200) { bits.below(40) as i64 } else { 0 };
            let coming = if bits.per_mille(100) { bits.below(200) as i64 } else { 0 };
            Some(Totals {
                on_hand: on_hand * unit,
                reserved: reserved * unit,
                sales_orders: ordered * unit,
                purchase_orders: coming * unit,
            })
        })
    }
}
