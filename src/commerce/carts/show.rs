//! A cart as its user sees it: at today's prices, with what has changed.

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;

use super::items::{Item, items};
use crate::{
    commerce::{
        orders::{
            OrderContext, OrderError,
            charge::{charge, unit_cost},
            istanbul_day,
            lines::{Goods, LineKind, Measured},
            queries,
            totals::{self, LineAmounts},
            view::{amount, plain, unit_price},
        },
        pricing::{self, Ask, Dealer, Priced},
    },
    principal::Permission,
};

/// The cart of the signed-in user.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cart {
    pub items: Vec<CartItem>,
    /// Null when the cart is empty, or has two currencies: then it has no sums.
    #[schema(example = "TRY")]
    pub currency: Option<String>,
    /// The sums of what can be ordered.
    #[serde(serialize_with = "amount")]
    #[schema(value_type = f64, example = 22146.0000)]
    pub subtotal: Decimal,
    #[serde(serialize_with = "amount")]
    #[schema(value_type = f64, example = 1107.3000)]
    pub discount: Decimal,
    #[serde(serialize_with = "amount")]
    #[schema(value_type = f64, example = 4207.7400)]
    pub tax: Decimal,
    #[serde(serialize_with = "amount")]
    #[schema(value_type = f64, example = 25246.4400)]
    pub total: Decimal,
    /// Nothing stands in the way of an order.
    pub can_order: bool,
    /// Rises with every change; 0: there is none yet.
    pub revision: i64,
    pub updated_at: Option<DateTime<Utc>>,
    /// When it will be empty unless it is changed.
    pub expires_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CartItem {
    pub product_id: i64,
    pub sku: Option<String>,
    pub code: String,
    pub name: String,
    /// Null: the product's main unit.
    #[schema(example = "ADET")]
    pub unit: Option<String>,
    #[serde(serialize_with = "plain")]
    #[schema(value_type = f64, example = 12)]
    pub quantity: Decimal,
    /// Of one unit, net of VAT, now; null: it has none.
    #[serde(serialize_with = "price")]
    #[schema(value_type = Option<f64>, example = 1845.500000)]
    pub unit_price: Option<Decimal>,
    #[schema(example = "TRY")]
    pub currency: Option<String>,
    #[serde(serialize_with = "amount")]
    #[schema(value_type = f64, example = 22146.0000)]
    pub amount: Decimal,
    #[serde(serialize_with = "amount")]
    #[schema(value_type = f64, example = 1107.3000)]
    pub discount: Decimal,
    #[serde(serialize_with = "amount")]
    #[schema(value_type = f64, example = 4207.7400)]
    pub tax: Decimal,
    #[serde(serialize_with = "amount")]
    #[schema(value_type = f64, example = 25246.4400)]
    pub total: Decimal,
    /// There is enough of it now.
    pub in_stock: bool,
    /// What is to be known about it; empty: nothing.
    pub notices: Vec<Notice>,
}

/// Something that changed, or stands in the way of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    /// `price_changed`; and what has to be mended before an order: `no_price`, `product_inactive`, `insufficient_stock`,
    /// `below_minimum`, `not_a_multiple`, `unknown_unit`, `fraction`, `currency_mixed`, `out_of_range`.
    #[schema(value_type = String, example = "price_changed")]
    pub code: &'static str,
    #[schema(example = "cost 1845.5 TRY when it was put in and costs 1900 TRY now")]
    pub message: String,
    /// Nothing is ordered before it is mended.
    pub blocking: bool,
}

fn price<S: serde::Serializer>(value: &Option<Decimal>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => unit_price(value, serializer),
        None => serializer.serialize_none(),
    }
}

/// Whose cart it is: a user of a dealer company.
pub(super) fn owner(cx: &OrderContext<'_>) -> Result<(i64, i64), OrderError> {
    cx.principal.user_id().zip(cx.principal.company).ok_or(OrderError::NoCart)
}

/// The cart at today's prices and stock. What is shown is remembered, so that an order can tell whether it was seen.
pub async fn show(conn: &mut PgConnection, cx: &OrderContext<'_>) -> Result<Cart, OrderError> {
    let (user, customer) = owner(cx)?;
    let head = sqlx::query!(
        "select c.revision, c.updated_at, c.expires_at
         from commerce.cart c
         where c.user_id = $1 and c.customer_id = $2 and c.expires_at > clock_timestamp()",
        user,
        customer,
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(head) = head else { return Ok(Cart::empty()) };
    let items = items(&mut *conn, user, customer).await?;
    let day = istanbul_day(cx.by.now);
    let looked = look(&mut *conn, cx, customer, day, &items).await?;
    remember(&mut *conn, user, &items, &looked).await?;
    let mut cart = Cart { revision: head.revision, updated_at: Some(head.updated_at), ..Cart::empty() };
    cart.expires_at = Some(head.expires_at);
    fill(&mut cart, cx, items, looked);
    Ok(cart)
}

/// What was found out about an item.
struct Look {
    goods: Option<Goods>,
    measured: Option<Measured>,
    price: Option<Priced>,
    /// The dealer's, in percent.
    discount: Option<Decimal>,
    amounts: Option<LineAmounts>,
    available: Decimal,
    notices: Vec<Notice>,
}

async fn look(
    conn: &mut PgConnection,
    cx: &OrderContext<'_>,
    customer: i64,
    day: NaiveDate,
    items: &[Item],
) -> Result<Vec<Look>, OrderError> {
    let asked: Vec<(Option<i64>, Option<&str>)> = items.iter().map(|item| (Some(item.product), None)).collect();
    let goods = queries::goods(&mut *conn, &asked).await?;
    let discount = queries::discount_rate(&mut *conn, customer).await?;
    let asks: Vec<Ask> = items
        .iter()
        .map(|item| Ask { product_id: item.product, unit: item.unit.clone(), quantity: item.quantity })
        .collect();
    let dealer = Dealer { allow_zero_price: cx.rules.allow_zero_price, ..Dealer::from(customer) };
    let prices = pricing::prices_for(conn, dealer, day, &asks).await?;
    let mut currency: Option<String> = None;
    let looked = items.iter().zip(goods).zip(prices).map(|((item, goods), price)| {
        let mut look = Look {
            available: goods.as_ref().map(Goods::available).unwrap_or_default(),
            goods,
            measured: None,
            price,
            discount,
            amounts: None,
            notices: Vec::new(),
        };
        look.judge(item, day, &mut currency);
        look
    });
    Ok(looked.collect())
}

impl Look {
    fn judge(&mut self, item: &Item, day: NaiveDate, currency: &mut Option<String>) {
        let Some(goods) = &self.goods else { return };
        if !goods.is_active {
            self.price = None;
            return self.block("product_inactive", "is not sold any more".to_owned());
        }
        let measured = match goods.measure(item.quantity, item.unit.as_deref()) {
            Ok(measured) => measured,
            Err(fault) => return self.block(fault.code, fault.message),
        };
        let amount = goods.check_amount(&measured);
        let short = goods.track_stock && self.available < measured.main_quantity;
        let charged = self.price.as_ref().map(|price| {
            let own = currency.get_or_insert_with(|| price.currency.clone());
            (totals::line(&charge(goods, &measured, price, self.discount, day)), *own == price.currency)
        });
        let changed = self.changed(item);
        self.measured = Some(measured);
        if let Err(fault) = amount {
            self.block(fault.code, fault.message);
        }
        match charged {
            None => self.block("no_price", "has no price at the moment".to_owned()),
            Some((Err(large), _)) => self.block("out_of_range", large.to_string()),
            Some((Ok(_), false)) => {
                self.block("currency_mixed", "is in another currency than the cart: order it apart".to_owned());
            }
            Some((Ok(amounts), true)) => self.amounts = Some(amounts),
        }
        if let Some(message) = changed {
            self.notices.push(Notice { code: "price_changed", message, blocking: false });
        }
        if short {
            self.block("insufficient_stock", "there is not as much in stock".to_owned());
        }
    }

    /// What a unit costs now.
    fn cost(&self) -> Option<(Decimal, String)> {
        self.price.as_ref().map(|price| (unit_cost(price, self.discount), price.currency.clone()))
    }

    fn changed(&self, item: &Item) -> Option<String> {
        let now = self.cost()?;
        let (chosen, chosen_currency) = item.chosen.as_ref().filter(|chosen| **chosen != now)?;
        let (cost, currency) = (now.0.normalize(), now.1);
        Some(format!(
            "cost {} {chosen_currency} when it was put in and costs {cost} {currency} now",
            chosen.normalize()
        ))
    }

    fn block(&mut self, code: &'static str, message: String) {
        self.notices.push(Notice { code, message, blocking: true });
    }

    fn in_stock(&self) -> bool {
        let tracked = self.goods.as_ref().is_none_or(|goods| goods.track_stock);
        !tracked || self.measured.as_ref().is_some_and(|measured| self.available >= measured.main_quantity)
    }
}

/// Writes what is shown now where it differs from what was shown last.
async fn remember(conn: &mut PgConnection, user: i64, items: &[Item], looked: &[Look]) -> Result<(), sqlx::Error> {
    let moved: Vec<(&Item, Option<(Decimal, String)>)> = items
        .iter()
        .zip(looked)
        .map(|(item, look)| (item, look.cost()))
        .filter(|(item, now)| item.shown != *now)
        .collect();
    if moved.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update commerce.cart_item i
         set shown_price = n.price, shown_currency = n.currency
         from unnest($2::bigint[], $3::numeric[], $4::text[]) as n (product_id, price, currency)
         where i.user_id = $1 and i.product_id = n.product_id",
        user,
        &moved.iter().map(|(item, _)| item.product).collect::<Vec<_>>(),
        &moved.iter().map(|(_, now)| now.as_ref().map(|(price, _)| *price)).collect::<Vec<_>>() as _,
        &moved.iter().map(|(_, now)| now.as_ref().map(|(_, currency)| currency.as_str())).collect::<Vec<_>>() as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

fn fill(cart: &mut Cart, cx: &OrderContext<'_>, items: Vec<Item>, mut looked: Vec<Look>) {
    for (item, look) in items.iter().zip(&mut looked) {
        // Who may know how many there are is told.
        if cx.principal.may(Permission::StockView)
            && let Some(notice) = look.notices.iter_mut().find(|notice| notice.code == "insufficient_stock")
        {
            notice.message =
                format!("there are only {} left, not {}", look.available.normalize(), item.quantity.normalize());
        }
    }
    let sums = totals::totals(looked.iter().filter_map(|look| Some((LineKind::Product, look.amounts.as_ref()?))));
    let sums = sums.unwrap_or_default();
    let mixed = looked.iter().any(|look| look.notices.iter().any(|notice| notice.code == "currency_mixed"));
    cart.can_order = !items.is_empty() && looked.iter().all(|look| look.notices.iter().all(|notice| !notice.blocking));
    if !mixed {
        cart.currency = looked.iter().find_map(|look| look.price.as_ref().map(|price| price.currency.clone()));
        (cart.subtotal, cart.discount, cart.tax, cart.total) = (sums.subtotal, sums.discount, sums.tax, sums.total);
    }
    cart.items = items
        .into_iter()
        .zip(looked)
        .filter_map(|(item, look)| {
            let in_stock = look.in_stock();
            let (goods, amounts) = (look.goods?, look.amounts);
            let of = |figure: fn(&LineAmounts) -> Decimal| amounts.as_ref().map(figure).unwrap_or_default();
            Some(CartItem {
                product_id: item.product,
                sku: goods.sku,
                code: goods.code,
                name: goods.name,
                unit: item.unit,
                quantity: item.quantity,
                unit_price: look.price.as_ref().map(|price| price.amount),
                currency: look.price.map(|price| price.currency),
                amount: of(|amounts| amounts.amount),
                discount: of(|amounts| amounts.discount),
                tax: of(|amounts| amounts.vat),
                total: of(|amounts| amounts.vat_base + amounts.vat),
                in_stock,
                notices: look.notices,
            })
        })
        .collect();
}

impl Cart {
    pub(super) fn empty() -> Cart {
        Cart {
            items: Vec::new(),
            currency: None,
            subtotal: Decimal::ZERO,
            discount: Decimal::ZERO,
            tax: Decimal::ZERO,
            total: Decimal::ZERO,
            can_order: false,
            revision: 0,
            updated_at: None,
            expires_at: None,
        }
    }
}
