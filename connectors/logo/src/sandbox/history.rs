//! Orders that the firm had before the sandbox was started (switch `documents`): shipped, invoiced, booked. They bear references
//! of somebody else.

use serde_json::{Map, Value, json};

use super::{
    documents::Taken,
    fields,
    records::put_stamps,
    store::{Entry, Store},
    switches::Switches,
    world::{Scratch, items},
};

/// So long ago that no incremental pass steps back to it.
const AGO: i64 = 3 * super::stamp::DAY;

/// Puts so many of them into the store. The same ones at each start: they stand in no journal.
pub fn fill(store: &mut Store, count: u64, switches: &Switches, now: i64) -> Result<(), String> {
    let now = now - AGO;
    for n in 0..count {
        let Some(body) = order(store, n, now) else { return Err("there are no customers and items for it".to_owned()) };
        let made = store.order_from(&body, None, switches, now).map_err(|refusal| format!("{refusal:?}"))?;
        let (reference, mut record) = made;
        put_stamps(&mut record, now, None);
        store.apply(Entry::Order { reference, record, at: now });
        let deal = json!({ "order": reference.to_string(), "ship": true, "invoice": true });
        let deal = deal.as_object().cloned().unwrap_or_default();
        for entry in store.deal(&deal, now, &mut Taken::default())? {
            store.apply(entry);
        }
    }
    Ok(())
}

/// Two pieces of the nth item for the nth customer.
fn order(store: &Store, n: u64, now: i64) -> Option<Map<String, Value>> {
    let mut scratch = Scratch::default();
    let customers = store.world.customers.max(1);
    // Behind the template row.
    let mut buyers = store.customers.skip(1 + n % customers);
    let customer = buyers.next()?;
    let customer = store.customer(customer, &mut scratch).code.to_owned();
    let mut cards = store.items.skip(items::FIRST_INDEX + n % store.world.items.max(1));
    let item = cards.next()?;
    let item = store.item(item, &mut scratch).code.to_owned();
    let number = format!("ESKI-{n}");
    let body = json!({
        "NUMBER": "~", "DATE": fields::iso(now), "DOC_NUMBER": number, "CUST_ORD_NO": number, "ARP_CODE": customer,
        "SOURCE_WH": 0, "ORDER_STATUS": 4, "TRANSACTIONS": {"items": [
            {"TYPE": 0, "MASTER_CODE": item, "QUANTITY": 2, "PRICE": 12.5, "VAT_RATE": 20}]}
    });
    body.as_object().cloned()
}
