use chrono::{NaiveDate, NaiveDateTime};
use proptest::prelude::*;

use super::*;

fn stamps() -> impl Strategy<Value = NaiveDateTime> {
    (0i64..4_000_000_000).prop_map(|seconds| chrono::DateTime::from_timestamp(seconds, 0).unwrap().naive_utc())
}

fn afters() -> impl Strategy<Value = After> {
    (any::<i64>(), any::<u32>()).prop_map(|(reference, limit)| After { reference, limit })
}

fn sinces() -> impl Strategy<Value = Since> {
    (stamps(), any::<i64>(), any::<u32>()).prop_map(|(stamp, reference, limit)| Since { stamp, reference, limit })
}

fn which_items() -> impl Strategy<Value = WhichItems> {
    prop_oneof![
        (any::<i64>(), any::<i64>()).prop_map(|(first, last)| WhichItems::Range(first, last)),
        prop::collection::vec(any::<i64>(), 1..20).prop_map(WhichItems::Only),
    ]
}

fn formulas() -> impl Strategy<Value = StockFormula> {
    let column = || (0usize..4).prop_map(|place| StockColumn::ALL[place]);
    (column(), prop::collection::vec((any::<bool>(), column()), 0..4))
        .prop_map(|(first, rest)| StockFormula { first, rest })
}

fn stock_pages() -> impl Strategy<Value = StockPage> {
    let warehouses = prop_oneof![
        Just(Warehouses::Total),
        Just(Warehouses::Each),
        prop::collection::vec(any::<u16>(), 1..5).prop_map(Warehouses::Only)
    ];
    let table = prop_oneof![Just(StockTable::Table), Just(StockTable::View)];
    (1u16..100, table, formulas(), warehouses, any::<i64>(), any::<i64>(), any::<u32>()).prop_map(
        |(period, table, formula, warehouses, item, warehouse, limit)| StockPage {
            period,
            table,
            formula,
            warehouses,
            item,
            warehouse,
            limit,
        },
    )
}

fn children() -> impl Strategy<Value = Children> {
    (1u16..1000, 1u16..100, which_items(), any::<i64>(), any::<i64>(), any::<u32>()).prop_map(
        |(firm, period, documents, document, line, limit)| Children { firm, period, documents, document, line, limit },
    )
}

fn queries() -> impl Strategy<Value = Query> {
    let firm = 1u16..1000;
    prop_oneof![
        Just(Query::ServerTime),
        firm.clone().prop_map(|firm| Query::Periods { firm }),
        (firm.clone(), any::<u16>(), any::<u16>(), afters()).prop_map(|(firm, code_type, card_type, after)| {
            Query::GroupCodes { firm, code_type, card_type, after }
        }),
        (firm.clone(), afters()).prop_map(|(firm, after)| Query::Brands { firm, after }),
        (firm.clone(), afters()).prop_map(|(firm, after)| Query::UnitSets { firm, after }),
        (firm.clone(), any::<i64>(), any::<i64>(), any::<i64>(), any::<i64>(), any::<u32>()).prop_map(
            |(firm, first, last, set, line, limit)| Query::UnitSetLines { firm, first, last, set, line, limit }
        ),
        (firm.clone(), afters()).prop_map(|(firm, after)| Query::Items { firm, after }),
        (firm.clone(), sinces()).prop_map(|(firm, since)| Query::ItemsChanged { firm, since }),
        (firm.clone(), which_items(), any::<i64>(), any::<i64>(), any::<u32>())
            .prop_map(|(firm, items, item, line, limit)| Query::ItemUnits { firm, items, item, line, limit }),
        (firm.clone(), afters()).prop_map(|(firm, after)| Query::Customers { firm, after }),
        (firm.clone(), sinces()).prop_map(|(firm, since)| Query::CustomersChanged { firm, since }),
        (firm.clone(), afters()).prop_map(|(firm, after)| Query::Prices { firm, after }),
        (firm.clone(), sinces()).prop_map(|(firm, since)| Query::PricesChanged { firm, since }),
        (firm.clone(), stock_pages()).prop_map(|(firm, page)| Query::Stock { firm, page }),
        (firm.clone(), stamps(), stock_pages()).prop_map(|(firm, stamp, page)| Query::StockChanged {
            firm,
            stamp,
            page
        }),
        (firm.clone(), 1u16..100, afters()).prop_map(|(firm, period, after)| Query::Orders { firm, period, after }),
        (firm.clone(), 1u16..100, sinces()).prop_map(|(firm, period, since)| Query::OrdersChanged {
            firm,
            period,
            since
        }),
        (firm.clone(), 1u16..100, afters()).prop_map(|(firm, period, after)| Query::Invoices { firm, period, after }),
        (firm.clone(), 1u16..100, sinces()).prop_map(|(firm, period, since)| Query::InvoicesChanged {
            firm,
            period,
            since
        }),
        (firm.clone(), 1u16..100, afters()).prop_map(|(firm, period, after)| Query::Ledger { firm, period, after }),
        (firm, 1u16..100, sinces()).prop_map(|(firm, period, since)| Query::LedgerChanged { firm, period, since }),
        children().prop_map(Query::OrderLines),
        children().prop_map(Query::InvoiceLines),
        children().prop_map(Query::InvoicePayments),
    ]
}

proptest! {
    #[test]
    fn what_is_rendered_is_recognised(query in queries()) {
        let text = render(&query);
        prop_assert!(!text.contains(['{', '}', '\n']) && !text.contains("--"), "{}", text);
        prop_assert_eq!(recognise(&text), Some(query));
    }

    #[test]
    fn one_changed_character_is_another_text(query in queries(), at in any::<prop::sample::Index>()) {
        let text = render(&query);
        let mut other = text.clone().into_bytes();
        let at = at.index(other.len());
        other[at] = if other[at] == b'#' { b'?' } else { b'#' };
        prop_assert_ne!(recognise(std::str::from_utf8(&other).unwrap()), Some(query));
    }
}

#[test]
fn names_are_padded_and_stamps_unambiguous() {
    let stamp = NaiveDate::from_ymd_opt(2026, 2, 27).unwrap().and_hms_opt(16, 5, 31).unwrap();
    let text = render(&Query::ItemsChanged { firm: 7, since: Since { stamp, reference: 1041, limit: 1000 } });
    assert!(text.starts_with("SELECT TOP (1000) I.LOGICALREF AS INTERNAL_REFERENCE"), "{text}");
    assert!(text.contains("FROM LG_007_ITEMS I WITH (NOLOCK)"), "{text}");
    assert!(text.contains("I.CAPIBLOCK_MODIFIEDDATE >= '20260227' OR I.CAPIBLOCK_CREADEDDATE >= '20260227'"), "{text}");
    assert!(
        text.ends_with(
            "(S.ST > '2026-02-27T16:05:31' OR (S.ST = '2026-02-27T16:05:31' AND I.LOGICALREF > 1041)) \
             ORDER BY S.ST, I.LOGICALREF"
        ),
        "{text}"
    );
}

#[test]
fn the_total_never_stands_beside_its_parts() {
    for (warehouses, predicate) in [
        (Warehouses::Total, "T.INVENNO = -1"),
        (Warehouses::Each, "T.INVENNO >= 0"),
        (Warehouses::Only(vec![0, 2]), "T.INVENNO IN (0, 2)"),
    ] {
        let page = StockPage {
            period: 1,
            table: StockTable::View,
            formula: StockFormula::default(),
            warehouses,
            item: 0,
            warehouse: 0,
            limit: 10,
        };
        let text = render(&Query::Stock { firm: 7, page });
        assert!(text.contains("FROM LV_007_01_GNTOTST T"), "{text}");
        assert!(text.contains("CAST(T.ONHAND - T.RESERVED AS decimal(18,4)) AS AVAILABLE"), "{text}");
        assert_eq!(
            text.matches("T.INVENNO =").count() + text.matches("T.INVENNO >=").count(),
            usize::from(predicate != "T.INVENNO IN (0, 2)"),
            "{text}"
        );
        assert!(text.contains(predicate), "{text}");
    }
}

#[test]
fn formulas_are_a_closed_language() {
    assert_eq!(StockFormula::parse("ONHAND − RESERVED"), Some(StockFormula::default()));
    assert_eq!(
        StockFormula::parse("ONHAND-RESERVED - ACTSORDER").map(|formula| formula.to_string()).as_deref(),
        Some("ONHAND - RESERVED - ACTSORDER")
    );
    for bad in ["", "ONHAND -", "ONHAND RESERVED", "ONHAND * 2", "ONHAND; DROP TABLE X", "onhand", "- ONHAND"] {
        assert_eq!(StockFormula::parse(bad), None, "{bad}");
    }
}
