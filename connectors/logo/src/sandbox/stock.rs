//! Running totals of stock: the generated ones, what was set since, and what open sales orders add.

use std::collections::BTreeMap;

use super::{
    table::{Bulk, Found},
    world::{World, items, stock::Totals, timeline::Timeline},
};

/// An open quantity of a sales order: item, warehouse, ten-thousandths of the main unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Open {
    pub item: i64,
    pub warehouse: i64,
    pub quantity: i64,
    /// What of it is reserved for the order.
    pub reserved: i64,
}

#[derive(Debug, Default)]
struct Written {
    /// Instead of the generated totals.
    set: BTreeMap<i64, Totals>,
    /// On top of them: ordered, and reserved for orders.
    ordered: BTreeMap<i64, i64>,
    reserved: BTreeMap<i64, i64>,
    /// What came and left since, on top of what is on hand.
    on_hand: BTreeMap<i64, i64>,
    /// When a slip or an order last named the item.
    moved: i64,
}

#[derive(Debug)]
pub struct StockBook {
    world: World,
    /// Generated movements fall on the generated cards' latest stamps.
    timeline: Timeline,
    written: BTreeMap<i64, Written>,
    bulk: Option<Bulk>,
}

impl StockBook {
    pub fn new(world: World) -> StockBook {
        let timeline = world.item_timeline();
        StockBook { world, timeline, written: BTreeMap::new(), bulk: None }
    }

    pub fn set(&mut self, item: i64, warehouse: i64, totals: Totals, at: i64) {
        let written = self.written.entry(item).or_default();
        written.set.insert(warehouse, totals);
        written.on_hand.remove(&warehouse);
        written.moved = written.moved.max(at);
    }

    pub fn ordered(&mut self, open: &[Open], sign: i64, at: i64) {
        for open in open {
            let written = self.written.entry(open.item).or_default();
            *written.ordered.entry(open.warehouse).or_default() += sign * open.quantity;
            *written.reserved.entry(open.warehouse).or_default() += sign * open.reserved;
            written.moved = written.moved.max(at);
        }
    }

    pub fn moved_by(&mut self, item: i64, warehouse: i64, on_hand: i64, at: i64) {
        let written = self.written.entry(item).or_default();
        *written.on_hand.entry(warehouse).or_default() += on_hand;
        written.moved = written.moved.max(at);
    }

    pub fn change_all(&mut self, bulk: Bulk) {
        self.bulk = Some(bulk);
    }

    /// The item's totals by warehouse, ascending, with what open orders add.
    pub fn rows(&self, item: Found<'_>, rows: &mut Vec<(i64, Totals)>) {
        self.written_rows(item, rows);
        if self.written.is_empty() {
            return;
        }
        let Some(written) = self.written.get(&item.reference) else { return };
        for (&warehouse, &quantity) in written.ordered.iter().filter(|(_, quantity)| **quantity != 0) {
            entry(rows, warehouse).sales_orders += quantity;
        }
        for (&warehouse, &quantity) in written.reserved.iter().filter(|(_, quantity)| **quantity != 0) {
            entry(rows, warehouse).reserved += quantity;
        }
        rows.sort_unstable_by_key(|(warehouse, _)| *warehouse);
    }

    /// The same without the orders.
    pub fn written_rows(&self, item: Found<'_>, rows: &mut Vec<(i64, Totals)>) {
        rows.clear();
        if let Some(n) = item.index.and_then(|index| index.checked_sub(items::FIRST_INDEX))
            && n < self.world.items
        {
            let salt = self.bulk.map_or(0, |bulk| bulk.salt);
            let generated = self.world.stock(n, salt);
            rows.extend((0..).zip(generated).filter_map(|(warehouse, totals)| Some((warehouse, totals?))));
        }
        if self.written.is_empty() {
            return;
        }
        let Some(written) = self.written.get(&item.reference) else { return };
        for (&warehouse, &totals) in &written.set {
            *entry(rows, warehouse) = totals;
        }
        for (&warehouse, &quantity) in &written.on_hand {
            entry(rows, warehouse).on_hand += quantity;
        }
        rows.sort_unstable_by_key(|(warehouse, _)| *warehouse);
    }

    /// LOGICALREFs of items from `item` on, ascending, that a slip or an order has named since; `None` when that is so
    /// of generated movements too, and each item has to be asked for by [`StockBook::moved`].
    pub fn written_since(&self, since: i64, item: i64) -> Option<impl Iterator<Item = i64>> {
        let generated = self.bulk.map_or(i64::MIN, |bulk| bulk.at).max(self.timeline.end());
        let written = self.written.range(item..).filter(move |(_, written)| written.moved >= since);
        (since > generated).then(|| written.map(|(item, _)| *item))
    }

    pub fn moved(&self, item: Found<'_>, since: i64) -> bool {
        let generated = || {
            let index = item.index.filter(|index| *index < self.world.items + items::FIRST_INDEX)?;
            let (created, modified) = self.timeline.stamps(index);
            Some(self.bulk.map_or(modified.unwrap_or(created), |bulk| bulk.at))
        };
        self.written.get(&item.reference).is_some_and(|written| written.moved >= since)
            || generated().is_some_and(|moved| moved >= since)
    }
}

fn entry(rows: &mut Vec<(i64, Totals)>, warehouse: i64) -> &mut Totals {
    let at = match rows.iter().position(|(number, _)| *number == warehouse) {
        Some(at) => at,
        None => {
            rows.push((warehouse, Totals::default()));
            rows.len() - 1
        }
    };
    &mut rows[at].1
}

/// The row of all warehouses together, which LOGO keeps beside its parts as number −1.
pub fn sum(rows: &[(i64, Totals)]) -> Totals {
    let mut all = Totals::default();
    for (_, totals) in rows {
        all += *totals;
    }
    all
}
