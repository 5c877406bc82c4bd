//! `GET /_sandbox/state?kind=expected`: how many records a hub ends with that has read everything rightly.
//!
//! The rules counted by: item classes (CARD_TYPE 20, 21) and the template (22) are no products; suppliers
//! (ACCOUNT_TYPE 2) and the template are no customers; passive cards are kept, inactive; every sales price row is kept;
//! stock has a row per item and warehouse, never the one of all warehouses (−1).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    store::Store,
    world::{Scratch, codes::UNIT_SETS, items, prices},
};

impl Store {
    pub fn expected(&self, now: i64) -> Value {
        let mut scratch = Scratch::default();
        let (mut products, mut passive) = (0_u64, 0_u64);
        let (mut stock, mut negative, mut warehouses) = (0_u64, 0_u64, BTreeSet::new());
        let mut rows = Vec::new();
        for found in self.items.after(i64::MIN) {
            let untouched =
                found.index.filter(|_| found.edit.is_none()).and_then(|i| i.checked_sub(items::FIRST_INDEX));
            let (card_type, status) = match untouched {
                Some(n) => (1, i64::from(self.world.traits(n).passive)),
                None => {
                    let card = self.item(found, &mut scratch);
                    (card.card_type, card.status)
                }
            };
            if (20..=items::TEMPLATE).contains(&card_type) {
                continue;
            }
            products += 1;
            passive += u64::from(status != 0);
            self.stock.rows(found, &mut rows);
            for (warehouse, totals) in &rows {
                stock += 1;
                negative += u64::from(totals.on_hand - totals.reserved < 0);
                warehouses.insert(*warehouse);
            }
        }
        let (mut customers, mut closed, mut persons) = (0_u64, 0_u64, 0_u64);
        for found in self.customers.after(i64::MIN) {
            let card = self.customer(found, &mut scratch);
            if matches!(card.account_type, 1 | 3) {
                customers += 1;
                closed += u64::from(card.status != 0);
                persons += u64::from(card.person != 0);
            }
        }
        let (mut price_rows, mut in_use, mut valid) = (0_u64, 0_u64, 0_u64);
        for found in self.prices.after(i64::MIN) {
            let (card, status, starts, ends) = match found.index.filter(|_| found.edit.is_none()) {
                // Only its item, state and dates are asked for, which follow from its place.
                Some(index) => {
                    let (n, slot) = (index / prices::SLOTS, index % prices::SLOTS);
                    let (starts, ends) = prices::dates(slot);
                    (items::number_reference(n), prices::status(n, slot), starts, ends)
                }
                None => {
                    let card = self.price(found, &mut scratch);
                    (card.card, card.status, card.starts, card.ends)
                }
            };
            if self.items.find(card).is_none() {
                continue;
            }
            price_rows += 1;
            in_use += u64::from(status == 0);
            valid += u64::from(status == 0 && starts <= now && now < ends + super::stamp::DAY);
        }
        json!({
            "streams": {
                "group_codes": self.groups.len(),
                "brands": self.brands.len(),
                "unit_sets": UNIT_SETS.len(),
                "items": products,
                "customers": customers,
                "prices": price_rows,
                "stock": stock,
                "orders": self.orders.iter().filter(|(_, order)| order.record.contains_key("CUST_ORD_NO")).count(),
                "invoices": self.documents.invoices.len(),
                "ledger": self.documents.movements.len(),
            },
            "detail": {
                "itemsActive": products - passive,
                "itemsPassive": passive,
                "customersActive": customers - closed,
                "customersPersons": persons,
                "pricesActive": in_use,
                "pricesValidToday": valid,
                "stockNegative": negative,
                "warehouses": warehouses.len(),
                "orders": self.orders.count(),
            },
        })
    }
}
