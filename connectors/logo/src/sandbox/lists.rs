//! Reading the collections: `GET /{resource}` by pages and `GET /{resource}/{reference}`.

use std::{borrow::Cow, cmp::Ordering};

use rust_decimal::Decimal;
use serde_json::{Map, Value};

use super::{
    fields,
    filter::{Field, Filter},
    json::{NO_DATE, Out},
    records::{self, MEDIA, View},
    store::Store,
    switches::Switches,
    table::Found,
    world::{
        Scratch,
        codes::{self, Code, UnitSet},
    },
};

/// A collection. Names are matched without regard to case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    Items,
    Arps,
    SalesItemPrices,
    SalesOrders,
    SalesInvoices,
    /// Return slips alone: what leaves is not kept as slips of its own.
    SalesDispatches,
    GroupCodes,
    ItemBrands,
    UnitSets,
    PaymentPlans,
    /// Known to the service, with nothing in it here.
    Empty(&'static str),
}

const EMPTY: [&str; 11] = [
    "itemSlips",
    "purchaseOrders",
    "purchasedItemPrices",
    "salesmen",
    "purchaseDispatches",
    "purchaseInvoices",
    "bankSlips",
    "ArpSlips",
    "ArpShipmentLocations",
    "specialCodes",
    "soldServices",
];

impl Resource {
    pub fn parse(name: &str) -> Option<Resource> {
        use Resource::{
            Arps, GroupCodes, ItemBrands, Items, PaymentPlans, SalesDispatches, SalesInvoices, SalesItemPrices,
            SalesOrders, UnitSets,
        };
        let cards = [Items, Arps, SalesItemPrices, GroupCodes, ItemBrands, UnitSets, PaymentPlans];
        let documents = [SalesOrders, SalesInvoices, SalesDispatches];
        let mut known = cards.into_iter().chain(documents).chain(EMPTY.map(Resource::Empty));
        known.find(|resource| resource.name().eq_ignore_ascii_case(name))
    }

    pub const fn name(self) -> &'static str {
        match self {
            Resource::Items => "items",
            Resource::Arps => "Arps",
            Resource::SalesItemPrices => "salesItemPrices",
            Resource::SalesOrders => "salesOrders",
            Resource::SalesInvoices => "salesInvoices",
            Resource::SalesDispatches => "salesDispatches",
            Resource::GroupCodes => "groupCodes",
            Resource::ItemBrands => "itemBrands",
            Resource::UnitSets => "unitSets",
            Resource::PaymentPlans => "paymentPlans",
            Resource::Empty(name) => name,
        }
    }
}

/// What the query string asks of a list.
#[derive(Debug, Default)]
pub struct Wanted {
    limit: u64,
    offset: u64,
    filter: Option<Filter>,
    /// Field, and whether descending.
    sort: Vec<(String, bool)>,
    fields: Vec<String>,
    with_count: bool,
    full: bool,
}

impl Wanted {
    /// Or why the service answers 400.
    pub fn read(params: &[(String, String)], switches: &Switches) -> Result<Wanted, String> {
        let mut wanted = Wanted { limit: switches.page_default, ..Wanted::default() };
        let number = |key: &str, text: &str| text.parse::<u64>().map_err(|_| format!("{key} parametresi geçersiz."));
        for (key, value) in params {
            match key.to_ascii_lowercase().as_str() {
                "limit" => wanted.limit = number(key, value)?,
                "offset" => {
                    wanted.offset = number(key, value)?;
                    if wanted.offset == 0 && switches.offset_zero_refused {
                        return Err("offset parametresi geçersiz.".to_owned());
                    }
                }
                "q" if !value.trim().is_empty() => {
                    wanted.filter =
                        Some(Filter::parse(value).map_err(|error| format!("q parametresi geçersiz: {error}"))?);
                }
                "sort" => wanted.sort = sort_of(value)?,
                "fields" => wanted.fields = value.split(',').map(|field| field.trim().to_ascii_uppercase()).collect(),
                "withcount" | "count" => wanted.with_count = value.eq_ignore_ascii_case("true"),
                "expandlevel" => wanted.full = value.eq_ignore_ascii_case("full"),
                _ => {}
            }
        }
        if wanted.limit == 0 {
            wanted.limit = switches.page_default;
        }
        if switches.page_ceiling > 0 {
            wanted.limit = wanted.limit.min(switches.page_ceiling);
        }
        Ok(wanted)
    }

    /// Whether the whole table has to be looked at.
    pub fn is_scan(&self) -> bool {
        self.filter.is_some() || self.with_count || !self.sort.is_empty()
    }
}

/// `CODE desc,NAME`; the natural order is that of references and needs no sorting.
fn sort_of(text: &str) -> Result<Vec<(String, bool)>, String> {
    let mut sort = Vec::new();
    for part in text.split(',').filter(|part| !part.trim().is_empty()) {
        let mut words = part.split_whitespace();
        let field = words.next().unwrap_or_default().to_ascii_uppercase();
        let descending = match words.next().map(str::to_ascii_lowercase).as_deref() {
            None | Some("asc") => false,
            Some("desc") => true,
            Some(_) => return Err("sort parametresi geçersiz.".to_owned()),
        };
        sort.push((field, descending));
    }
    if matches!(sort.first(), Some((field, false)) if field == "INTERNAL_REFERENCE") {
        sort.clear();
    }
    Ok(sort)
}

/// A record of any collection.
#[derive(Debug, Clone, Copy)]
pub enum Row<'s> {
    Item(Found<'s>),
    Arp(Found<'s>),
    Price(Found<'s>),
    Order(i64, &'s Map<String, Value>),
    Invoice(i64, &'s Map<String, Value>),
    Return(i64, &'s Map<String, Value>),
    Group(&'s Code),
    Brand(&'s Code),
    UnitSet(&'static UnitSet),
    PaymentPlan((i64, &'static str)),
}

impl Store {
    /// One record, as JSON.
    pub fn record(&self, resource: Resource, reference: i64, view: View<'_>) -> Option<Vec<u8>> {
        let row = self.row(resource, reference)?;
        let mut out = Out::with_capacity(4_096);
        self.write(&row, view, &mut out, &mut Scratch::default());
        Some(out.into_bytes())
    }

    /// A page, as JSON. `address` is that of the collection, for its links.
    pub fn page(&self, resource: Resource, wanted: &Wanted, base: &str) -> Vec<u8> {
        let view = View { base, full: wanted.full };
        let (rows, more, total) = self.pick(resource, wanted);
        let mut list = Out::with_capacity(rows.len() * 2_048);
        let mut scratch = Scratch::default();
        for (n, row) in rows.iter().enumerate() {
            list.raw(if n > 0 { "," } else { "" });
            let start = list.len();
            self.write(row, view, &mut list, &mut scratch);
            if !wanted.fields.is_empty() {
                project(&mut list, start, &wanted.fields);
            }
        }
        let list = list.into_bytes();
        let link = |out: &mut Out, name: &str, offset: u64| {
            out.key(name);
            out.raw("{\"href\":\"");
            out.raw(&format!("{base}/{}?offset={offset}&limit={}", resource.name(), wanted.limit));
            out.raw("\"}");
        };
        let mut out = Out::with_capacity(list.len() + 1_024);
        out.raw("{\"Meta\":{\"href\":\"");
        out.raw(&format!("{base}/{}?limit={}", resource.name(), wanted.limit));
        out.raw(MEDIA);
        out.int_member("offset", wanted.offset as i64);
        out.int_member("limit", wanted.limit as i64);
        out.int_member("count", rows.len() as i64);
        if let Some(total) = total {
            out.int_member("totalCount", total as i64);
        }
        link(&mut out, "first", 0);
        if wanted.offset > 0 {
            link(&mut out, "previous", wanted.offset.saturating_sub(wanted.limit));
        }
        if more {
            link(&mut out, "next", wanted.offset + rows.len() as u64);
        }
        out.raw(",\"items\":[");
        out.raw_bytes(&list);
        out.raw("]}");
        out.into_bytes()
    }

    /// The page's rows, whether others follow, and how many there are in all when that was asked.
    fn pick(&self, resource: Resource, wanted: &Wanted) -> (Vec<Row<'_>>, bool, Option<u64>) {
        let limit = usize::try_from(wanted.limit).unwrap_or(usize::MAX);
        let offset = usize::try_from(wanted.offset).unwrap_or(usize::MAX);
        if !wanted.is_scan() {
            let mut rows: Vec<Row<'_>> = self.rows(resource, wanted.offset).take(limit.saturating_add(1)).collect();
            let more = rows.len() > limit;
            rows.truncate(limit);
            return (rows, more, None);
        }
        let mut scratch = Scratch::default();
        let mut holds = |row: &Row<'_>| match &wanted.filter {
            Some(filter) => self.holds(filter, row, &mut scratch),
            None => true,
        };
        let candidates = self.candidates(resource, wanted.filter.as_ref());
        if wanted.sort.is_empty() {
            let mut rows = Vec::new();
            let mut total = 0;
            for row in candidates.filter(|row| holds(row)) {
                total += 1;
                if total > offset && rows.len() < limit {
                    rows.push(row);
                }
                if !wanted.with_count && total > offset.saturating_add(limit) {
                    break;
                }
            }
            let more = total > offset.saturating_add(rows.len());
            return (rows, more, wanted.with_count.then_some(total as u64));
        }
        let mut rows: Vec<(Vec<Field<'static>>, Row<'_>)> = Vec::new();
        for row in candidates.filter(|row| holds(row)) {
            rows.push((self.sort_key(&wanted.sort, &row), row));
        }
        rows.sort_by(|(a, _), (b, _)| {
            let orders = a.iter().zip(b).zip(&wanted.sort).map(
                |((a, b), (_, descending))| {
                    if *descending { order(b, a) } else { order(a, b) }
                },
            );
            orders.fold(Ordering::Equal, Ordering::then)
        });
        let total = rows.len();
        let page: Vec<Row<'_>> = rows.into_iter().skip(offset).take(limit).map(|(_, row)| row).collect();
        let more = total > offset.saturating_add(page.len());
        (page, more, wanted.with_count.then_some(total as u64))
    }

    /// All rows, or the one that a filter can mean.
    fn candidates(&self, resource: Resource, filter: Option<&Filter>) -> Box<dyn Iterator<Item = Row<'_>> + '_> {
        let code = filter.and_then(|filter| filter.must_equal("CODE"));
        match (resource, code) {
            (Resource::Items, Some(code)) => Box::new(self.item_by_code(code).map(Row::Item).into_iter()),
            (Resource::Arps, Some(code)) => Box::new(self.customer_by_code(code).map(Row::Arp).into_iter()),
            _ => self.rows(resource, 0),
        }
    }

    /// Rows in the order of references, from the one at `offset` on.
    fn rows(&self, resource: Resource, offset: u64) -> Box<dyn Iterator<Item = Row<'_>> + '_> {
        let skip = usize::try_from(offset).unwrap_or(usize::MAX);
        match resource {
            Resource::Items => Box::new(self.items.skip(offset).map(Row::Item)),
            Resource::Arps => Box::new(self.customers.skip(offset).map(Row::Arp)),
            Resource::SalesItemPrices => Box::new(self.prices.skip(offset).map(Row::Price)),
            Resource::SalesOrders => {
                Box::new(self.orders.iter().map(|(reference, order)| Row::Order(reference, &order.record)).skip(skip))
            }
            Resource::SalesInvoices => {
                let invoices = self.documents.invoices.iter();
                Box::new(invoices.map(|(reference, invoice)| Row::Invoice(*reference, &invoice.record)).skip(skip))
            }
            Resource::SalesDispatches => {
                Box::new(self.returns.iter().map(|(reference, slip)| Row::Return(reference, &slip.record)).skip(skip))
            }
            Resource::GroupCodes => Box::new(self.groups.iter().map(Row::Group).skip(skip)),
            Resource::ItemBrands => Box::new(self.brands.iter().map(Row::Brand).skip(skip)),
            Resource::UnitSets => Box::new(codes::UNIT_SETS.iter().map(Row::UnitSet).skip(skip)),
            Resource::PaymentPlans => Box::new(codes::PAYMENT_PLANS.into_iter().map(Row::PaymentPlan).skip(skip)),
            Resource::Empty(_) => Box::new(std::iter::empty()),
        }
    }

    fn row(&self, resource: Resource, reference: i64) -> Option<Row<'_>> {
        match resource {
            Resource::Items => self.items.find(reference).map(Row::Item),
            Resource::Arps => self.customers.find(reference).map(Row::Arp),
            Resource::SalesItemPrices => self.prices.find(reference).map(Row::Price),
            Resource::SalesOrders => self.orders.find(reference).map(|order| Row::Order(reference, &order.record)),
            Resource::SalesInvoices => {
                self.documents.invoices.get(&reference).map(|invoice| Row::Invoice(reference, &invoice.record))
            }
            Resource::SalesDispatches => self.returns.find(reference).map(|slip| Row::Return(reference, &slip.record)),
            Resource::GroupCodes => self.groups.iter().find(|row| row.reference == reference).map(Row::Group),
            Resource::ItemBrands => self.brands.iter().find(|row| row.reference == reference).map(Row::Brand),
            Resource::UnitSets => codes::UNIT_SETS.iter().find(|set| set.reference == reference).map(Row::UnitSet),
            Resource::PaymentPlans => {
                codes::PAYMENT_PLANS.into_iter().find(|plan| plan.0 == reference).map(Row::PaymentPlan)
            }
            Resource::Empty(_) => None,
        }
    }

    fn write(&self, row: &Row<'_>, view: View<'_>, out: &mut Out, scratch: &mut Scratch) {
        match *row {
            Row::Item(found) => self.write_item(found, view, out, scratch),
            Row::Arp(found) => self.write_customer(found, view, out, scratch),
            Row::Price(found) => self.write_price(found, view, out, scratch),
            Row::Order(reference, record) => records::document(out, "salesOrders", (reference, record), view),
            Row::Invoice(reference, record) => records::document(out, "salesInvoices", (reference, record), view),
            Row::Return(reference, record) => records::document(out, "salesDispatches", (reference, record), view),
            Row::Group(group) => records::group(out, group, view),
            Row::Brand(brand) => records::brand(out, brand, view),
            Row::UnitSet(set) => records::unit_set(out, set, view),
            Row::PaymentPlan(plan) => records::payment_plan(out, plan, view),
        }
    }

    fn holds(&self, filter: &Filter, row: &Row<'_>, scratch: &mut Scratch) -> bool {
        let record = std::cell::OnceCell::new();
        filter.holds(&mut |name| {
            self.quick(row, name, scratch).unwrap_or_else(|| {
                let record = record.get_or_init(|| self.shown(row));
                field_of(record, name)
            })
        })
    }

    fn sort_key(&self, sort: &[(String, bool)], row: &Row<'_>) -> Vec<Field<'static>> {
        let mut scratch = Scratch::default();
        let mut record = None;
        sort.iter()
            .map(|(name, _)| {
                self.quick(row, name, &mut scratch)
                    .unwrap_or_else(|| field_of(record.get_or_insert_with(|| self.shown(row)), name))
            })
            .collect()
    }

    /// The fields that are asked for most, without writing the record.
    fn quick(&self, row: &Row<'_>, name: &str, scratch: &mut Scratch) -> Option<Field<'static>> {
        let found = match row {
            Row::Item(found) | Row::Arp(found) | Row::Price(found) => *found,
            _ => return None,
        };
        let text = |text: &str| Some(Field::Text(Cow::Owned(text.to_owned())));
        match (name, row) {
            ("INTERNAL_REFERENCE", _) => Some(Field::Number(found.reference.into())),
            ("DATE_MODIFIED", _) => {
                Some(found.modified.map_or(Field::Empty, |at| Field::Date(at - at.rem_euclid(86_400))))
            }
            ("DATE_CREATED", _) => Some(Field::Date(found.created - found.created.rem_euclid(86_400))),
            ("CODE", Row::Item(_)) => text(self.item(found, scratch).code),
            ("NAME", Row::Item(_)) => text(self.item(found, scratch).name),
            ("RECORD_STATUS", Row::Item(_)) => Some(Field::Number(self.item(found, scratch).status.into())),
            ("CARD_TYPE", Row::Item(_)) => Some(Field::Number(self.item(found, scratch).card_type.into())),
            ("CODE", Row::Arp(_)) => text(self.customer(found, scratch).code),
            ("TITLE", Row::Arp(_)) => text(self.customer(found, scratch).title),
            ("TAX_ID", Row::Arp(_)) => text(self.customer(found, scratch).tax_id),
            ("TCKNO", Row::Arp(_)) => text(self.customer(found, scratch).tckno),
            ("RECORD_STATUS", Row::Arp(_)) => Some(Field::Number(self.customer(found, scratch).status.into())),
            ("CODE", Row::Price(_)) => text(self.price(found, scratch).code),
            ("CARDREF", Row::Price(_)) => Some(Field::Number(self.price(found, scratch).card.into())),
            _ => None,
        }
    }

    fn shown(&self, row: &Row<'_>) -> Map<String, Value> {
        let mut out = Out::default();
        self.write(row, View { base: "", full: false }, &mut out, &mut Scratch::default());
        serde_json::from_slice(&out.into_bytes()).unwrap_or_default()
    }
}

fn field_of(record: &Map<String, Value>, name: &str) -> Field<'static> {
    match record.get(name) {
        Some(Value::String(text)) if text == NO_DATE => Field::Empty,
        Some(Value::String(text)) if name.starts_with("DATE") => {
            fields::iso_day(text).map_or_else(|| Field::Text(Cow::Owned(text.clone())), Field::Date)
        }
        Some(Value::String(text)) => Field::Text(Cow::Owned(text.clone())),
        Some(value @ Value::Number(_)) => fields::decimal(value).map_or(Field::Empty, Field::Number),
        _ => Field::Empty,
    }
}

fn order(a: &Field<'_>, b: &Field<'_>) -> Ordering {
    let rank = |field: &Field<'_>| match field {
        Field::Empty => 0,
        Field::Number(_) => 1,
        Field::Date(_) => 2,
        Field::Text(_) => 3,
    };
    match (a, b) {
        (Field::Text(a), Field::Text(b)) => a.cmp(b),
        (Field::Number(a), Field::Number(b)) => Decimal::cmp(a, b),
        (Field::Date(a), Field::Date(b)) => a.cmp(b),
        _ => rank(a).cmp(&rank(b)),
    }
}

/// Keeps the wanted fields of the record written from `start` on.
fn project(out: &mut Out, start: usize, wanted: &[String]) {
    let Ok(mut record) = serde_json::from_slice::<Map<String, Value>>(out.since(start)) else { return };
    record.retain(|name, _| name == "Meta" || name == "INTERNAL_REFERENCE" || wanted.contains(name));
    out.truncate(start);
    out.value(&Value::Object(record));
}
