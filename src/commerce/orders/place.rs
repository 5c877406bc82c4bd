//! Placing an order: all of it in the caller's transaction, and nothing is left of one that is refused.
//!
//! The order of things, which is the order of locks: the day's row (its first order only), the cart, the dealer's row (with
//! a credit limit only), the levels of stock by rising id. What can be refused without a lock is refused before. Where goods
//! are taken from is decided by what was read without a lock; the statement that writes the order locks the levels, and
//! writes nothing if they have less by then: it is decided anew under the locks.

use std::collections::HashSet;

use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde_json::json;
use sqlx::PgConnection;

use super::{
    OrderRules, PaymentMethod, State,
    allocate::{self, Demand, Level, Short, Taken},
    charge::{charge, unit_cost},
    credit::{self, Credit, Undecided},
    error::{NamedFault, OrderError},
    events::{Told, istanbul_day, tell},
    lines::{self, Fault, Goods, LineKind, Measured},
    queries::{self, Buyer, NewLine, NewRow, Written, rule_name},
    rules::{ApprovalReason, Case, Unbearable},
    totals::{self, Totals},
    view::{Order, OrderDiscount, OrderLine, OrderSummary, object},
};
use crate::{
    audit::{self, Entry},
    commerce::{
        carts,
        pricing::{self, Ask, Dealer, Priced},
    },
    outbox::{EventType, Provenance},
    principal::{Permission, Principal},
};

/// Lines of one order.
pub const MOST_LINES: usize = 500;
pub(super) const LONGEST_NOTE: usize = 2000;

/// Who asks, on what occasion, by which rules. `by.origin` is the principal's actor.
#[derive(Debug, Clone, Copy)]
pub struct OrderContext<'a> {
    pub principal: &'a Principal,
    pub by: Provenance<'a>,
    pub rules: &'a OrderRules,
}

/// An order that somebody wants.
#[derive(Debug, Clone)]
pub struct NewOrder {
    /// Whose it is; somebody of the house has to say so.
    pub customer: Option<i64>,
    /// `None`: what is in the user's cart.
    pub lines: Option<Vec<AskedLine>>,
    pub payment_method: PaymentMethod,
    /// One of the dealer's addresses; `None`: its default one.
    pub shipping_address: Option<i64>,
    pub note: Option<String>,
}

/// A line as it is asked for: by id, or by SKU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedLine {
    pub product: Option<i64>,
    pub sku: Option<String>,
    pub quantity: Decimal,
    /// `None`: the product's main unit.
    pub unit: Option<String>,
}

/// What is ordered, and where it comes from.
struct Wanted {
    /// As faults name it: `lines` that were sent, `items` of the cart.
    list: &'static str,
    lines: Vec<AskedLine>,
    /// What a unit of each cost when the cart's user saw it last.
    shown: Vec<Option<(Decimal, String)>>,
    from_cart: Option<i64>,
}

impl Wanted {
    /// What the cart's user has not seen yet of what a unit costs. A lower price needs no asking.
    fn surprise(&self, index: usize, cost: Decimal, currency: &str) -> Option<String> {
        self.from_cart?;
        let now = format!("{} {currency}", cost.normalize());
        match &self.shown[index] {
            Some((seen, shown)) if shown == currency && cost <= *seen => None,
            Some((seen, currency)) => {
                Some(format!("cost {} {currency} when it was shown last and costs {now} now", seen.normalize()))
            }
            None => Some(format!("had no price when it was shown last and costs {now} now")),
        }
    }
}

/// Prices again, reserves, checks the dealer's account, writes the order and tells of it.
pub async fn place(conn: &mut PgConnection, cx: &OrderContext<'_>, new: &NewOrder) -> Result<Order, OrderError> {
    let customer = customer_of(cx.principal, new.customer)?;
    let day = istanbul_day(cx.by.now);
    let mut faults = Vec::new();
    let note = read_note(new.note.as_deref(), &mut faults);
    let buyer = queries::buyer(conn, customer, day, new.shipping_address, cx.rules.approve_first_orders).await?;
    let Some(buyer) = buyer else { return Err(OrderError::UnknownCustomer(customer)) };
    may_order(buyer.is_deleted, buyer.is_active, buyer.is_approved)?;
    if let Some(address) = new.shipping_address.filter(|_| buyer.address.is_none()) {
        let message = format!("{address} is none of the customer's addresses");
        faults.push(NamedFault::new("shippingAddressId", "unknown_address", message));
    }
    if buyer.day_base.is_none() {
        queries::open_day(conn, day).await?;
    }
    let wanted = wanted(conn, cx.principal, customer, new).await?;
    let goods = found(conn, &wanted, &mut faults).await?;
    let (lines, currency) = priced(conn, cx, &buyer, customer, day, &wanted, &goods, &mut faults).await?;
    let totals = totals::totals(lines.iter().map(|line| (line.kind, &line.amounts)));
    if !faults.is_empty() {
        return Err(OrderError::Invalid(faults));
    }
    let totals = totals
        .map_err(|large| OrderError::Invalid(vec![NamedFault::new(wanted.list, "out_of_range", large.to_string())]))?;
    let reasons = judged(conn, cx, &buyer, customer, new.payment_method, day, &currency, totals.total).await?;
    let state = OrderRules::first_state(&reasons, new.payment_method);
    let demanded = Demanded::of(&lines);
    let reasons: Vec<String> = reasons.iter().map(|reason| reason.as_str().to_owned()).collect();
    let rows: Vec<NewLine> = lines.into_iter().map(|line| line.row).collect();
    let row = NewRow {
        customer,
        revision: if state == State::Confirmed { 2 } else { 1 },
        day,
        state,
        method: new.payment_method,
        expires_in: cx.rules.runs_out(state),
        currency: &currency,
        reasons: &reasons,
        note: note.as_deref(),
        billing: &buyer.billing,
        shipping: buyer.shipping.as_ref(),
        totals,
        lines: &rows,
    };
    let written = match demanded.taken(&goods) {
        Some(taken) => queries::insert(conn, &cx.by, &row, &demanded.products, &taken).await?,
        None => None,
    };
    let written = match written {
        Some(written) => written,
        None => {
            let levels = queries::lock_levels(conn, &demanded.products).await?;
            let taken = demanded
                .allocated(&levels)
                .map_err(|short| not_enough(cx.principal, &wanted, &goods, &rows, &demanded, &short))?;
            let written = queries::insert(conn, &cx.by, &row, &demanded.products, &taken).await?;
            written.ok_or(sqlx::Error::RowNotFound)?
        }
    };
    if let Some(user) = wanted.from_cart {
        carts::clear(conn, user).await?;
    }
    announce(conn, cx, &row, &written).await?;
    Ok(shown(&cx.by, &buyer, row, written))
}

/// Whose order it is: a dealer's own, or whichever the house names.
fn customer_of(principal: &Principal, named: Option<i64>) -> Result<i64, OrderError> {
    match (principal.company, named) {
        (Some(own), None) => Ok(own),
        (None, None) if principal.scope().is_house() => Err(OrderError::Invalid(vec![NamedFault::new(
            "customerId",
            "required",
            "say whose order it is: somebody of the house orders for a customer",
        )])),
        (None, None) => Err(OrderError::NoCart),
        (_, Some(named)) if principal.scope().covers(named) => Ok(named),
        (_, Some(named)) => Err(OrderError::UnknownCustomer(named)),
    }
}

pub(super) fn read_note(note: Option<&str>, faults: &mut Vec<NamedFault>) -> Option<String> {
    let note = note.map(str::trim).filter(|note| !note.is_empty())?;
    if note.chars().count() > LONGEST_NOTE {
        faults.push(NamedFault::new("note", "too_long", format!("a note has at most {LONGEST_NOTE} characters")));
    }
    if note.contains('\0') {
        faults.push(NamedFault::new("note", "control_character", "a note holds no NUL character"));
    }
    Some(note.to_owned())
}

pub(super) const fn may_order(is_deleted: bool, is_active: bool, is_approved: bool) -> Result<(), OrderError> {
    match () {
        () if is_deleted => Err(OrderError::CustomerBarred("deleted")),
        () if !is_active => Err(OrderError::CustomerBarred("not active")),
        () if !is_approved => Err(OrderError::CustomerBarred("not approved yet")),
        () => Ok(()),
    }
}

async fn wanted(
    conn: &mut PgConnection,
    principal: &Principal,
    customer: i64,
    new: &NewOrder,
) -> Result<Wanted, OrderError> {
    if let Some(lines) = &new.lines {
        let wrong = |code, message: String| Err(OrderError::Invalid(vec![NamedFault::new("lines", code, message)]));
        return match lines.len() {
            0 => wrong("required", "there is no line; leave `lines` out to order the cart".to_owned()),
            count if count > MOST_LINES => {
                wrong("too_many", format!("an order has at most {MOST_LINES} lines, not {count}"))
            }
            count => Ok(Wanted { list: "lines", lines: lines.clone(), shown: vec![None; count], from_cart: None }),
        };
    }
    let (Some(user), Some(_)) = (principal.user_id(), principal.company) else { return Err(OrderError::NoCart) };
    let items = carts::take(conn, user, customer).await?;
    if items.is_empty() {
        return Err(OrderError::CartEmpty);
    }
    let (lines, shown) = items
        .into_iter()
        .map(|item| {
            let line = AskedLine { product: Some(item.product), sku: None, quantity: item.quantity, unit: item.unit };
            (line, item.shown)
        })
        .unzip();
    Ok(Wanted { list: "items", lines, shown, from_cart: Some(user) })
}

/// The product of each line, where there is one that may be bought.
async fn found(
    conn: &mut PgConnection,
    wanted: &Wanted,
    faults: &mut Vec<NamedFault>,
) -> Result<Vec<Option<Goods>>, OrderError> {
    let asked: Vec<(Option<i64>, Option<&str>)> = wanted
        .lines
        .iter()
        .map(|line| match (line.product, line.sku.as_deref().map(str::trim_end)) {
            // Named twice, or by a text that the store could not compare: nothing is looked for.
            (Some(_), Some(_)) => (None, None),
            (None, Some(sku)) if sku.contains('\0') => (None, None),
            (product, sku) => (product, sku),
        })
        .collect();
    let mut goods = queries::goods(conn, &asked).await?;
    for (index, (line, found)) in wanted.lines.iter().zip(&mut goods).enumerate() {
        let fault = match (line.product, &line.sku, &*found) {
            (Some(_), Some(_), _) => {
                Fault::new("sku", "ambiguous", "name the product by productId or by sku, not both")
            }
            (None, None, _) => Fault::new("productId", "required", "name the product by productId or by sku"),
            (Some(id), None, None) => Fault::new("productId", "unknown_product", format!("there is no product {id}")),
            (None, Some(sku), None) => {
                let shown: String = sku.chars().take(100).collect();
                Fault::new("sku", "unknown_sku", format!("there is no product {shown}"))
            }
            (product, _, Some(goods)) if !goods.is_active => {
                let field = if product.is_some() { "productId" } else { "sku" };
                let message = format!("{} is not sold any more", goods.sku.as_deref().unwrap_or(&goods.code));
                Fault::new(field, "product_inactive", message)
            }
            (_, _, Some(_)) => continue,
        };
        faults.push(NamedFault::of_line(wanted.list, index, fault));
        *found = None;
    }
    Ok(goods)
}

/// A line with its price, and where it stood.
struct PricedLine {
    index: usize,
    kind: LineKind,
    amounts: totals::LineAmounts,
    main_quantity: Decimal,
    track_stock: bool,
    row: NewLine,
}

/// The lines with a price each, all in one currency; whatever is wrong with the others is told.
#[expect(clippy::too_many_arguments, reason = "one step of a placement, apart to be read by itself")]
async fn priced(
    conn: &mut PgConnection,
    cx: &OrderContext<'_>,
    buyer: &Buyer,
    customer: i64,
    day: NaiveDate,
    wanted: &Wanted,
    goods: &[Option<Goods>],
    faults: &mut Vec<NamedFault>,
) -> Result<(Vec<PricedLine>, String), OrderError> {
    let asked = wanted.lines.iter().zip(goods).enumerate().filter_map(|(index, (line, goods))| {
        goods.as_ref().map(|goods| (index, goods, line.quantity, line.unit.as_deref()))
    });
    let (measured, wrong) = lines::merge(asked);
    let name = |index, fault| NamedFault::of_line(wanted.list, index, fault);
    faults.extend(wrong.into_iter().map(|(index, fault)| name(index, fault)));
    let asks: Vec<Ask> = measured
        .iter()
        .map(|(_, goods, it)| Ask { product_id: goods.id, unit: it.unit.clone(), quantity: it.quantity })
        .collect();
    let dealer = Dealer { allow_zero_price: cx.rules.allow_zero_price, ..Dealer::from(customer) };
    let prices = pricing::prices_for(&mut *conn, dealer, day, &asks).await?;

    let mut currency: Option<String> = None;
    let mut changed = Vec::new();
    let mut lines = Vec::with_capacity(measured.len());
    for (position, ((index, goods, measured), price)) in (1_i16..).zip(measured.into_iter().zip(prices)) {
        let Some(price) = price else {
            let message = format!("{} has no price for this customer", goods.sku.as_deref().unwrap_or(&goods.code));
            faults.push(name(index, Fault::new("productId", "no_price", message)));
            continue;
        };
        let own = currency.get_or_insert_with(|| price.currency.clone());
        if *own != price.currency {
            let message = format!("is priced in {}, what stands before it in {own}: order them apart", price.currency);
            faults.push(name(index, Fault::new("currency", "currency_mixed", message)));
            continue;
        }
        if let Some(message) = wanted.surprise(index, unit_cost(&price, buyer.discount_rate), &price.currency) {
            changed.push(name(index, Fault::new("price", "price_changed", message)));
        }
        match line_of(position, goods, measured, &price, buyer.discount_rate, day) {
            Ok(line) => lines.push(PricedLine { index, ..line }),
            Err(large) => faults.push(name(index, Fault::new("quantity", "out_of_range", large.to_string()))),
        }
    }
    if faults.is_empty() && !changed.is_empty() {
        return Err(OrderError::Changed(changed));
    }
    Ok((lines, currency.unwrap_or_else(|| buyer.currency.clone())))
}

fn line_of(
    position: i16,
    goods: &Goods,
    measured: Measured,
    price: &Priced,
    discount_rate: Option<Decimal>,
    day: NaiveDate,
) -> Result<PricedLine, totals::TooLarge> {
    let charge = charge(goods, &measured, price, discount_rate, day);
    let amounts = totals::line(&charge)?;
    let row = NewLine {
        position,
        kind: LineKind::Product,
        product: Some(goods.id),
        price: Some(price.price_id),
        rule: Some(price.rule),
        vat_included: price.vat_included,
        ordered: measured.quantity,
        reserved: if goods.track_stock { measured.quantity } else { Decimal::ZERO },
        numerator: measured.numerator,
        denominator: measured.denominator,
        listed_price: charge.price,
        vat_rate: charge.vat_rate,
        discount_rate: charge.discount_rate,
        amounts,
        code: goods.code.clone(),
        sku: goods.sku.clone(),
        unit: measured.unit,
        name: goods.name.clone(),
    };
    Ok(PricedLine {
        index: 0,
        kind: LineKind::Product,
        amounts,
        main_quantity: measured.main_quantity,
        track_stock: goods.track_stock,
        row,
    })
}

#[expect(clippy::too_many_arguments, reason = "one step of a placement, apart to be read by itself")]
async fn judged(
    conn: &mut PgConnection,
    cx: &OrderContext<'_>,
    buyer: &Buyer,
    customer: i64,
    method: PaymentMethod,
    day: NaiveDate,
    currency: &str,
    total: Decimal,
) -> Result<Vec<ApprovalReason>, OrderError> {
    let credit = match method {
        PaymentMethod::Account if buyer.has_limit => {
            Some(credit::ask(conn, customer, currency, day, Undecided::Counted).await?)
        }
        PaymentMethod::Account => Some(Credit::unlimited(buyer.overdue)),
        PaymentMethod::Card => None,
    };
    let orders_before = u32::try_from(buyer.orders_before).unwrap_or(u32::MAX);
    let case = Case { total, credit: credit.as_ref(), orders_before };
    cx.rules.judge(&case).map_err(|why| unbearable(why, &credit.unwrap_or(Credit::unlimited(Decimal::ZERO)), total))
}

pub(super) fn unbearable(why: Unbearable, credit: &Credit, total: Decimal) -> OrderError {
    match why {
        Unbearable::CreditLimit => {
            OrderError::OverLimit { limit: credit.limit.unwrap_or_default(), used: credit.used, total }
        }
        Unbearable::Overdue => OrderError::Overdue { overdue: credit.overdue },
    }
}

/// What lines want of the stock that is kept.
struct Demanded {
    demands: Vec<Demand>,
    /// The line of each: its place among the order's, and where it was asked for.
    places: Vec<(usize, usize)>,
    products: Vec<i64>,
}

impl Demanded {
    fn of(lines: &[PricedLine]) -> Demanded {
        let kept = || lines.iter().enumerate().filter(|(_, line)| line.track_stock);
        let demand =
            |line: &PricedLine| Demand { product: line.row.product.unwrap_or_default(), quantity: line.main_quantity };
        let places = kept().map(|(place, line)| (place, line.index)).collect();
        let demands: Vec<Demand> = kept().map(|(_, line)| demand(line)).collect();
        let mut products: Vec<i64> = demands.iter().map(|demand| demand.product).collect();
        products.sort_unstable();
        products.dedup();
        Demanded { demands, places, products }
    }

    /// Where it could come from, as the levels were read; `None`: they do not suffice.
    fn taken(&self, goods: &[Option<Goods>]) -> Option<Vec<Taken>> {
        let mut seen = HashSet::new();
        let once = goods.iter().flatten().filter(|goods| seen.insert(goods.id));
        let levels: Vec<Level> = once.flat_map(|goods| goods.levels.iter().cloned()).collect();
        self.allocated(&levels).ok()
    }

    fn allocated(&self, levels: &[Level]) -> Result<Vec<Taken>, Vec<Short>> {
        let mut taken = allocate::allocate(&self.demands, levels)?;
        for it in &mut taken {
            it.line = self.places[it.line].0;
        }
        Ok(taken)
    }
}

fn not_enough(
    principal: &Principal,
    wanted: &Wanted,
    goods: &[Option<Goods>],
    rows: &[NewLine],
    demanded: &Demanded,
    short: &[Short],
) -> OrderError {
    let unit = |product| goods.iter().flatten().find(|goods| goods.id == product)?.unit.as_deref();
    let faults = short.iter().map(|short| {
        let (place, index) = demanded.places[short.line];
        let what = rows[place].sku.as_deref().unwrap_or(&rows[place].code);
        let message = if principal.may(Permission::StockView) {
            let unit = unit(demanded.demands[short.line].product).unwrap_or_default();
            let text = format!("there are only {} {unit} of {what} left", short.available.normalize());
            text.replace("  ", " ")
        } else {
            format!("there is not as much of {what}")
        };
        NamedFault::of_line(wanted.list, index, Fault::new("quantity", "insufficient_stock", message))
    });
    OrderError::NotEnough(faults.collect())
}

async fn announce(
    conn: &mut PgConnection,
    cx: &OrderContext<'_>,
    row: &NewRow<'_>,
    written: &Written,
) -> Result<(), OrderError> {
    let told = Told {
        id: written.id,
        number: &written.number,
        customer_id: row.customer,
        state: row.state.as_str(),
        payment_method: row.method.as_str(),
        total: row.totals.total,
        currency: row.currency,
        revision: 1,
        cause: None,
    };
    let kinds = [EventType::OrderCreated, EventType::OrderConfirmed];
    let count = if row.state == State::Confirmed { 2 } else { 1 };
    tell(conn, &cx.by, &kinds[..count], &told).await?;
    let entry = Entry {
        action: "order.placed",
        subject_kind: "order",
        subject: written.number.clone(),
        detail: json!({
            "id": written.id,
            "customerId": row.customer,
            "state": row.state.as_str(),
            "total": row.totals.total.to_string(),
            "currency": row.currency,
            "lines": row.lines.len(),
        }),
    };
    audit::record(conn, cx.by.actor(), &[entry]).await?;
    Ok(())
}

/// The order as a read of it would show it.
fn shown(by: &Provenance<'_>, buyer: &Buyer, row: NewRow<'_>, written: Written) -> Order {
    let Totals { subtotal, discount, shipping, tax, total } = row.totals;
    let confirmed = row.state == State::Confirmed;
    let lines = row.lines.iter().zip(&written.lines).map(|(line, id)| {
        let amounts = &line.amounts;
        let own = OrderDiscount { kind: "customer".to_owned(), rate: line.discount_rate, amount: amounts.discount };
        OrderLine {
            id: *id,
            position: line.position,
            kind: line.kind.as_str().to_owned(),
            product_id: line.product,
            sku: line.sku.clone(),
            code: line.code.clone(),
            name: line.name.clone(),
            unit: line.unit.clone(),
            numerator: line.numerator,
            denominator: line.denominator,
            quantity: line.ordered,
            confirmed: if confirmed { line.ordered } else { Decimal::ZERO },
            reserved: line.reserved,
            shipped: Decimal::ZERO,
            delivered: Decimal::ZERO,
            invoiced: Decimal::ZERO,
            cancelled: Decimal::ZERO,
            unit_price: amounts.unit_price,
            price_rule: line.rule.map(|rule| rule_name(rule).to_owned()),
            amount: amounts.amount,
            discount: amounts.discount,
            discounts: if line.discount_rate > Decimal::ZERO { vec![own] } else { Vec::new() },
            vat_rate: line.vat_rate,
            vat_base: amounts.vat_base,
            vat: amounts.vat,
            total: amounts.vat_base + amounts.vat,
        }
    });
    Order {
        lines: lines.collect(),
        summary: OrderSummary {
            id: written.id,
            number: written.number,
            state: row.state.as_str().to_owned(),
            revision: row.revision,
            customer_id: row.customer,
            customer_code: buyer.code.clone(),
            customer_title: buyer.title.clone(),
            payment_method: row.method.as_str().to_owned(),
            currency: row.currency.to_owned(),
            subtotal,
            discount,
            shipping,
            tax,
            total,
            logo_number: None,
            cancel_requested: false,
            approval_reasons: row.reasons.to_vec(),
            expires_at: written.expires_at,
            confirmed_at: confirmed.then_some(by.now),
            created_at: by.now,
            updated_at: by.now,
        },
        placed_by: by.origin.to_owned(),
        note: row.note.map(str::to_owned),
        billing_address: object(row.billing.clone()),
        shipping_address: row.shipping.cloned().map(object),
    }
}
