//! What a reader of the catalogue may ask for.

use axum::{extract::Query, http::Uri};
use rust_decimal::Decimal;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    commerce::{
        catalogue::{Filter, References, Sort, Viewer, Words},
        orders::istanbul_day,
    },
    http::{
        problem::{FieldError, Problem},
        router::PublicState,
        signed_in::SignedIn,
    },
    money,
    page::PageRequest,
    principal::Permission,
};

/// What a list of products is narrowed to, and its order.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", default)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(super) struct ListQuery {
    /// Words of the name, the code, the SKU or the barcode, without regard to case and Turkish letters. All must occur; one
    /// of one or two letters is the beginning of a word.
    #[param(max_length = 200, example = "ışık kamera")]
    search: Option<String>,
    /// Code or id of a category; those below it count as well.
    category: Option<String>,
    /// Code or id of a brand.
    brand: Option<String>,
    /// Of the caller's net price, in the price's own currency.
    #[param(value_type = Option<f64>, minimum = 0)]
    min_price: Option<String>,
    #[param(value_type = Option<f64>, minimum = 0)]
    max_price: Option<String>,
    #[param(value_type = Option<bool>)]
    in_stock: Option<String>,
    /// `name` when it is not said.
    #[param(inline, value_type = Option<SortName>)]
    sort: Option<String>,
    /// How many items, 1 to 100; 20 when it is not said.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100)]
    limit: Option<String>,
    /// `nextCursor` of the page before, with the same `sort`.
    cursor: Option<String>,
    /// Whether to answer `totalCount`.
    #[param(value_type = Option<bool>)]
    count: Option<String>,
    /// For people of the house: whose prices.
    #[param(value_type = Option<i64>)]
    customer_id: Option<String>,
    /// For people who edit products: those out of use and deleted as well.
    #[param(value_type = Option<bool>)]
    include_inactive: Option<String>,
}

/// The orders of a list.
#[derive(utoipa::ToSchema)]
#[schema(as = ProductSort)]
#[expect(dead_code, reason = "it describes")]
pub(super) enum SortName {
    #[schema(rename = "name")]
    Name,
    #[schema(rename = "-name")]
    NameDescending,
    #[schema(rename = "price")]
    Price,
    #[schema(rename = "-price")]
    PriceDescending,
    #[schema(rename = "newest")]
    Newest,
    #[schema(rename = "code")]
    Code,
}

/// Whose prices.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", default)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(super) struct ShowQuery {
    /// For people of the house: whose prices.
    #[param(value_type = Option<i64>)]
    customer_id: Option<String>,
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", default)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(super) struct PriceQuery {
    /// 1 when it is not said.
    #[param(value_type = Option<f64>, minimum = 0)]
    quantity: Option<String>,
    /// One of the product's units; the main one when it is not said.
    #[param(max_length = 20)]
    unit: Option<String>,
    /// For people of the house: whose price.
    #[param(value_type = Option<i64>)]
    customer_id: Option<String>,
}

/// A list as it was asked for, read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::http::api) struct Wanted {
    pub(super) words: Words,
    pub(super) category: Option<String>,
    pub(super) brand: Option<String>,
    pub(super) min_price: Option<Decimal>,
    pub(super) max_price: Option<Decimal>,
    pub(super) in_stock: Option<bool>,
    pub(super) sort: Sort,
    pub(super) page: PageRequest,
    pub(super) count: bool,
    pub(super) customer_id: Option<i64>,
    pub(super) include_inactive: bool,
}

pub(in crate::http::api) fn wrong(field: &str, message: impl Into<String>) -> Problem {
    let message = message.into();
    Problem::invalid(vec![FieldError { field: field.to_owned(), code: "invalid".into(), message }])
}

pub(super) fn read<T: serde::de::DeserializeOwned>(uri: &Uri) -> Result<T, Problem> {
    Query::<T>::try_from_uri(uri)
        .map(|query| query.0)
        .map_err(|error| Problem::bad_request(format!("the query cannot be read: {error}")))
}

/// What is empty was not said.
fn given(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.trim().is_empty())
}

fn flag(field: &str, text: Option<String>) -> Result<Option<bool>, Problem> {
    match given(text).as_deref().map(str::trim) {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(_) => Err(wrong(field, "must be true or false")),
    }
}

fn number(field: &str, text: Option<String>) -> Result<Option<Decimal>, Problem> {
    let Some(text) = given(text) else { return Ok(None) };
    let number = Decimal::from_str_exact(text.trim()).map_err(|_| wrong(field, "must be a number such as 1234.50"))?;
    if number.is_sign_negative() && !number.is_zero() {
        return Err(wrong(field, "must not be below 0"));
    }
    Ok(Some(number))
}

fn id(field: &str, text: Option<String>) -> Result<Option<i64>, Problem> {
    given(text).map(|text| text.trim().parse().map_err(|_| wrong(field, "must be the id of a customer"))).transpose()
}

impl ListQuery {
    pub(super) fn wanted(self) -> Result<Wanted, Problem> {
        let sort = match given(self.sort) {
            None => Sort::default(),
            Some(name) => Sort::parse(name.trim()).ok_or_else(|| {
                let known: Vec<&str> = Sort::ALL.iter().map(|sort| sort.as_str()).collect();
                wrong("sort", format!("must be one of {}", known.join(", ")))
            })?,
        };
        let limit = given(self.limit)
            .map(|limit| limit.trim().parse::<i64>().map_err(|_| wrong("limit", "must be a number between 1 and 100")))
            .transpose()?;
        let (min_price, max_price) = (number("minPrice", self.min_price)?, number("maxPrice", self.max_price)?);
        if min_price.zip(max_price).is_some_and(|(least, most)| least > most) {
            return Err(wrong("minPrice", "must not be above maxPrice"));
        }
        Ok(Wanted {
            words: Words::parse(self.search.as_deref().unwrap_or_default())
                .map_err(|bad| wrong("search", bad.to_string()))?,
            category: given(self.category),
            brand: given(self.brand),
            min_price,
            max_price,
            in_stock: flag("inStock", self.in_stock)?,
            sort,
            page: PageRequest::new(limit, given(self.cursor))?,
            count: flag("count", self.count)?.unwrap_or(false),
            customer_id: id("customerId", self.customer_id)?,
            include_inactive: flag("includeInactive", self.include_inactive)?.unwrap_or(false),
        })
    }
}

impl Wanted {
    pub(super) fn filter(&self, references: References) -> Filter {
        Filter {
            words: self.words.clone(),
            references,
            min_price: self.min_price,
            max_price: self.max_price,
            in_stock: self.in_stock,
        }
    }
}

impl ShowQuery {
    pub(super) fn customer_id(self) -> Result<Option<i64>, Problem> {
        id("customerId", self.customer_id)
    }
}

/// A price as it was asked for: quantity, unit, whose.
pub(super) struct WantedPrice {
    pub(super) quantity: Decimal,
    pub(super) unit: Option<String>,
    pub(super) customer_id: Option<i64>,
}

impl PriceQuery {
    pub(super) fn wanted(self) -> Result<WantedPrice, Problem> {
        let quantity = number("quantity", self.quantity)?.unwrap_or(Decimal::ONE);
        let quantity = money::QUANTITY.fit(quantity).ok_or_else(|| wrong("quantity", "is too large"))?;
        if quantity.is_zero() {
            return Err(wrong("quantity", "must be above 0"));
        }
        let unit = given(self.unit);
        if unit.as_deref().is_some_and(|unit| unit.contains('\0')) {
            return Err(wrong("unit", "holds a NUL character"));
        }
        Ok(WantedPrice { quantity, unit, customer_id: id("customerId", self.customer_id)? })
    }
}

/// Who reads: the caller's own company, or for a person of the house the customer that they name.
pub(super) async fn viewer(
    state: &PublicState,
    caller: &SignedIn,
    customer_id: Option<i64>,
    include_inactive: bool,
) -> Result<Viewer, Problem> {
    caller.require(Permission::ProductsView)?;
    let scope = caller.scope();
    let no_such_customer = || Problem::not_found("there is no such customer");
    let customer_id = match customer_id {
        Some(id) if !scope.covers(id) => return Err(no_such_customer()),
        Some(id) if scope.is_house() => {
            caller.require(Permission::CustomersView)?;
            if !state.catalogue.reader.has_customer(id).await? {
                return Err(no_such_customer());
            }
            Some(id)
        }
        None if scope.is_house() => None,
        // A dealer without a company is customer 0, which nobody is: prices that hold for everybody.
        _ => Some(scope.company_id()),
    };
    let edits = caller.may(Permission::ProductsEdit);
    if include_inactive {
        caller.require(Permission::ProductsEdit)?;
    }
    Ok(Viewer {
        dealer: state.catalogue.reader.dealer(customer_id),
        day: istanbul_day(state.http.clock.now()),
        sees_stock: caller.may(Permission::StockView),
        sees_costs: caller.may(Permission::CostsView),
        sees_all: include_inactive && edits,
    })
}
