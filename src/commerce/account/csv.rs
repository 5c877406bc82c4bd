//! A statement as a Turkish spreadsheet program opens it by a double click: UTF-8 with its mark, semicolons, decimal
//! commas, days as 21.11.2026.
//!
//! A text cell that a spreadsheet would take for a formula is written behind an apostrophe. Figures are never below 0:
//! a balance has its side, B (borç, owed) or A (alacak, in favour), in a cell of its own.

use std::borrow::Cow;

use chrono::NaiveDate;
use rust_decimal::Decimal;

use super::{Statement, StatementLine};
use crate::money;

const MARK: &[u8] = b"\xEF\xBB\xBF";
const HEAD: [&str; 10] =
    ["Tarih", "Belge No", "İşlem", "Açıklama", "Vade", "Borç", "Alacak", "Bakiye", "B/A", "Para Birimi"];

/// The file. It begins with what the account stood at and ends with what it stands at.
pub fn statement_csv(statement: &Statement) -> Vec<u8> {
    let mut file = MARK.to_vec();
    row(&mut file, HEAD.map(Cow::Borrowed));
    let currency = statement.currency.as_str();
    let opening = [Cow::Owned(date(statement.from)), "".into(), "Devreden bakiye".into(), "".into(), "".into()];
    row(
        &mut file,
        opening.into_iter().chain(["".into(), "".into()]).chain(balance(statement.opening_balance, currency)),
    );
    for line in &statement.movements {
        row(&mut file, cells(line, currency));
    }
    let closing = [Cow::Owned(date(statement.to)), "".into(), "Kapanış bakiyesi".into(), "".into(), "".into()];
    let totals = [amount(statement.total_debit).into(), amount(statement.total_credit).into()];
    row(&mut file, closing.into_iter().chain(totals).chain(balance(statement.closing_balance, currency)));
    file
}

fn cells<'a>(line: &'a StatementLine, currency: &'a str) -> impl Iterator<Item = Cow<'a, str>> {
    let movement = &line.movement;
    let side = |value: Decimal| if value.is_zero() { Cow::Borrowed("") } else { Cow::Owned(amount(value)) };
    [
        Cow::Owned(date(movement.booked_at)),
        text(movement.document_number.as_deref().unwrap_or_default()),
        named(&movement.kind).into(),
        text(movement.description.as_deref().unwrap_or_default()),
        movement.due_date.map(date).unwrap_or_default().into(),
        side(movement.debit),
        side(movement.credit),
    ]
    .into_iter()
    .chain(balance(line.balance, currency))
}

fn balance(value: Decimal, currency: &str) -> [Cow<'_, str>; 3] {
    let side = if value.is_zero() {
        ""
    } else if value.is_sign_negative() {
        "A"
    } else {
        "B"
    };
    [amount(value.abs()).into(), side.into(), currency.into()]
}

fn named(kind: &str) -> &'static str {
    match kind {
        "invoice" => "Fatura",
        "payment" => "Ödeme",
        "return" => "İade",
        "refund" => "Geri ödeme",
        "opening" => "Devir",
        "adjustment" => "Düzeltme",
        _ => "Diğer",
    }
}

fn date(day: NaiveDate) -> String {
    day.format("%d.%m.%Y").to_string()
}

/// Two digits behind the comma, more only where there are more.
fn amount(value: Decimal) -> String {
    let mut value = value.normalize();
    if value.scale() < 2 {
        value.rescale(2);
    }
    money::round(value, 4).to_string().replace('.', ",")
}

/// Harmless to a spreadsheet.
fn text(cell: &str) -> Cow<'_, str> {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        Cow::Owned(format!("'{cell}"))
    } else {
        Cow::Borrowed(cell)
    }
}

fn row<'a>(file: &mut Vec<u8>, cells: impl IntoIterator<Item = Cow<'a, str>>) {
    for (place, cell) in cells.into_iter().enumerate() {
        if place > 0 {
            file.push(b';');
        }
        if cell.contains([';', '"', '\n', '\r']) {
            file.push(b'"');
            file.extend_from_slice(cell.replace('"', "\"\"").as_bytes());
            file.push(b'"');
        } else {
            file.extend_from_slice(cell.as_bytes());
        }
    }
    file.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commerce::account::Movement;

    fn day(text: &str) -> NaiveDate {
        text.parse().expect("a day")
    }

    fn line(number: &str, description: &str, debit: i64, credit: i64, balance: i64) -> StatementLine {
        let movement = Movement {
            id: 1,
            kind: if debit > 0 { "invoice" } else { "payment" }.to_owned(),
            booked_at: day("2026-03-05"),
            due_date: (debit > 0).then(|| day("2026-04-04")),
            document_number: Some(number.to_owned()),
            description: Some(description.to_owned()),
            reference: None,
            order_id: None,
            currency: "TRY".to_owned(),
            debit: Decimal::new(debit, 2),
            credit: Decimal::new(credit, 2),
            is_provisional: false,
        };
        StatementLine { movement, balance: Decimal::new(balance, 2) }
    }

    #[test]
    fn a_turkish_spreadsheet_opens_it() {
        let statement = Statement {
            customer_id: 1,
            customer_code: "120.34.0187".to_owned(),
            customer_title: "Yıldızhan".to_owned(),
            currency: "TRY".to_owned(),
            from: day("2026-03-01"),
            to: day("2026-03-31"),
            opening_balance: Decimal::new(-50, 2),
            movements: vec![
                line("KPR2026000000041", "=HYPERLINK(\"http://x\";\"y\")", 4_007_844, 0, 4_007_794),
                line("-1", "@SUM(A1)", 0, 5_000_000, -992_206),
            ],
            total_debit: Decimal::new(4_007_844, 2),
            total_credit: Decimal::new(5_000_000, 2),
            closing_balance: Decimal::new(-992_206, 2),
        };
        let file = String::from_utf8(statement_csv(&statement)).expect("UTF-8");
        let expected = "\u{feff}Tarih;Belge No;İşlem;Açıklama;Vade;Borç;Alacak;Bakiye;B/A;Para Birimi\r\n\
             01.03.2026;;Devreden bakiye;;;;;0,50;A;TRY\r\n\
             05.03.2026;KPR2026000000041;Fatura;\"'=HYPERLINK(\"\"http://x\"\";\"\"y\"\")\";04.04.2026;40078,44;;40077,94;B;TRY\r\n\
             05.03.2026;'-1;Ödeme;'@SUM(A1);;;50000,00;9922,06;A;TRY\r\n\
             31.03.2026;;Kapanış bakiyesi;;;40078,44;50000,00;9922,06;A;TRY\r\n";
        assert_eq!(file, expected);
    }

    #[test]
    fn amounts_keep_their_digits() {
        assert_eq!(amount(Decimal::new(12_345_678, 4)), "1234,5678");
        assert_eq!(amount(Decimal::new(10, 0)), "10,00");
        assert_eq!(amount(Decimal::ZERO), "0,00");
    }
}
