//! A product's images. Who stores them, and how they are shown, is not known here.

use serde_json::{Map, Value};
use sqlx::PgConnection;

use super::{EditError, accepted, record};
use crate::{
    commerce::{
        Patch, WriteContext,
        products::{self, ImageLine, ProductUpsert},
    },
    outbox::Provenance,
};

/// Puts an image behind the others. One that is there already gets the new description.
pub async fn add_image(
    conn: &mut PgConnection,
    by: &Provenance<'_>,
    product_id: i64,
    url: &str,
    alt: Option<&str>,
) -> Result<(), EditError> {
    let before = stored(conn, product_id).await?;
    let mut after = before.clone();
    let alt = alt.map(str::to_owned);
    match after.images.iter_mut().find(|image| image.0 == url) {
        Some(image) => image.1 = alt,
        None => after.images.push((url.to_owned(), alt)),
    }
    write(conn, by, product_id, &before, &after).await
}

/// Takes an image away; answers whether it was there.
pub async fn remove_image(
    conn: &mut PgConnection,
    by: &Provenance<'_>,
    product_id: i64,
    url: &str,
) -> Result<bool, EditError> {
    let before = stored(conn, product_id).await?;
    let mut after = before.clone();
    after.images.retain(|image| image.0 != url);
    if after == before {
        return Ok(false);
    }
    write(conn, by, product_id, &before, &after).await?;
    Ok(true)
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Images {
    code: String,
    /// Address and description.
    images: Vec<(String, Option<String>)>,
}

impl Images {
    fn shown(&self) -> Map<String, Value> {
        let urls = self.images.iter().map(|(url, _)| Value::from(url.as_str())).collect();
        Map::from_iter([("images".to_owned(), Value::Array(urls))])
    }
}

/// Locks the product, so that two that add at once do not lose one.
async fn stored(conn: &mut PgConnection, product_id: i64) -> Result<Images, EditError> {
    let code = products::lock_code(conn, product_id).await?.ok_or(EditError::UnknownProduct)?;
    Ok(Images { code, images: products::images(conn, product_id).await? })
}

async fn write(
    conn: &mut PgConnection,
    by: &Provenance<'_>,
    product_id: i64,
    before: &Images,
    after: &Images,
) -> Result<(), EditError> {
    let lines = after.images.iter().map(|(url, alt)| ImageLine { url, alt: alt.as_deref() }).collect();
    let row =
        ProductUpsert { id: product_id, code: &after.code, images: Patch::Set(lines), ..ProductUpsert::default() };
    accepted(products::upsert_products(conn, &WriteContext::person(*by), &[row]).await?)?;
    Ok(record(conn, by, "product.images_set", product_id, before.shown(), after.shown()).await?)
}
