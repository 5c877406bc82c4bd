//! Categories and brands, with the number of products that dealers see in them.

use std::collections::HashMap;

use sqlx::PgExecutor;

use crate::page::{BadPage, Page, PageRequest};

/// A category in use; what lies below one that is not has moved up to the next above it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Category {
    pub id: i64,
    pub code: String,
    pub name: String,
    /// Products in the category itself.
    pub own: i64,
    /// These, and those of all categories below.
    pub all: i64,
    /// By name.
    pub below: Vec<Category>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brand {
    pub id: i64,
    pub code: String,
    pub name: String,
    pub products: i64,
}

struct Row {
    id: i64,
    parent_id: Option<i64>,
    is_active: bool,
    code: String,
    name: String,
    own: i64,
}

/// The whole tree, by name.
pub async fn categories<'e>(db: impl PgExecutor<'e>) -> Result<Vec<Category>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"
        select c.id, c.parent_id, c.is_active and c.deleted_at is null as "is_active!", c.code, c.name,
               coalesce(n.products, 0) as "own!"
        from commerce.category c
        left join (
            select category_id, count(*) as products
            from commerce.product
            where is_active and deleted_at is null
            group by category_id
        ) n on n.category_id = c.id
        order by c.name collate "tr-x-icu", c.id
        "#
    )
    .fetch_all(db)
    .await?;
    Ok(grow(rows))
}

fn grow(rows: Vec<Row>) -> Vec<Category> {
    let parents: HashMap<i64, (Option<i64>, bool)> =
        rows.iter().map(|row| (row.id, (row.parent_id, row.is_active))).collect();
    // The nearest category in use above; a tree has no circles, and a broken one only so many steps.
    let above = |start: Option<i64>| {
        let mut at = start;
        for _ in 0..parents.len() {
            match at.and_then(|id| parents.get(&id)) {
                Some((_, true)) => return at,
                Some((next, false)) => at = *next,
                None => return None,
            }
        }
        None
    };
    let mut below: HashMap<Option<i64>, Vec<Category>> = HashMap::new();
    for row in rows {
        if row.is_active {
            let leaf =
                Category { id: row.id, code: row.code, name: row.name, own: row.own, all: row.own, below: Vec::new() };
            below.entry(above(row.parent_id)).or_default().push(leaf);
        }
    }
    let roots = below.remove(&None).unwrap_or_default();
    roots.into_iter().map(|root| hang(root, &mut below)).collect()
}

fn hang(mut category: Category, below: &mut HashMap<Option<i64>, Vec<Category>>) -> Category {
    let children = below.remove(&Some(category.id)).unwrap_or_default();
    category.below = children.into_iter().map(|child| hang(child, below)).collect();
    category.all += category.below.iter().map(|child| child.all).sum::<i64>();
    category
}

/// Brands in use, by name.
pub async fn brands<'e>(
    db: impl PgExecutor<'e>,
    page: &PageRequest,
) -> Result<Result<Page<Brand>, BadPage>, sqlx::Error> {
    const LIST: &str = "brands";
    let after = match page.after::<(String, i64)>(LIST) {
        Ok(after) => after.unzip(),
        Err(bad) => return Ok(Err(bad)),
    };
    let rows = sqlx::query_as!(
        Brand,
        r#"
        select b.id, b.code, b.name,
               (select count(*) from commerce.product p
                where p.brand_id = b.id and p.is_active and p.deleted_at is null) as "products!"
        from commerce.brand b
        where b.is_active and b.deleted_at is null
          and ($1::text is null or (b.name collate "tr-x-icu", b.id) > ($1 collate "tr-x-icu", $2::bigint))
        order by b.name collate "tr-x-icu", b.id
        limit $3
        "#,
        after.0,
        after.1,
        page.rows(),
    )
    .fetch_all(db)
    .await?;
    Ok(Ok(page.page(LIST, rows, |brand| (brand.name.clone(), brand.id))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: i64, parent_id: Option<i64>, is_active: bool, own: i64) -> Row {
        Row { id, parent_id, is_active, code: id.to_string(), name: id.to_string(), own }
    }

    #[test]
    fn counts_go_up_and_what_is_below_a_closed_category_moves_up() {
        let tree = grow(vec![
            row(1, None, true, 1),
            row(2, Some(1), false, 10),
            row(3, Some(2), true, 100),
            row(4, Some(3), true, 1000),
            row(5, Some(9), true, 7),
        ]);
        let ids: Vec<i64> = tree.iter().map(|category| category.id).collect();
        assert_eq!(ids, [1, 5], "one whose parent is nowhere stands by itself");
        assert_eq!((tree[0].own, tree[0].all), (1, 1101), "products of a closed category count nowhere");
        assert_eq!(tree[0].below[0].id, 3);
        assert_eq!(tree[0].below[0].below[0].all, 1000);
    }

    #[test]
    fn a_circle_hangs_nowhere_and_ends() {
        assert!(grow(vec![row(1, Some(2), false, 1), row(2, Some(1), false, 1), row(3, Some(1), true, 1)]).len() == 1);
        assert!(grow(vec![row(1, Some(2), true, 1), row(2, Some(1), true, 1)]).is_empty());
    }
}
