//! The `q` of lists: `CODE eq 'X' and (RECORD_STATUS eq 0 or NAME like '*kamera*')`.

use rust_decimal::Decimal;

use super::stamp;

#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    All(Vec<Filter>),
    Any(Vec<Filter>),
    Compare { field: String, operator: Operator, literal: Literal },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Like,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    Text(String),
    Number(Decimal),
}

/// A field's value as a filter sees it. What a record does not show is empty.
#[derive(Debug, Clone, PartialEq)]
pub enum Field<'a> {
    Text(std::borrow::Cow<'a, str>),
    Number(Decimal),
    /// Local midnight.
    Date(i64),
    Empty,
}

impl Filter {
    pub fn parse(text: &str) -> Result<Filter, String> {
        let tokens = tokens(text)?;
        let mut parser = Parser { tokens: &tokens };
        let filter = parser.any()?;
        match parser.tokens.first() {
            None => Ok(filter),
            Some(token) => Err(format!("unexpected {token:?}")),
        }
    }

    pub fn holds<'a>(&self, field: &mut dyn FnMut(&str) -> Field<'a>) -> bool {
        match self {
            Filter::All(parts) => parts.iter().all(|part| part.holds(field)),
            Filter::Any(parts) => parts.iter().any(|part| part.holds(field)),
            Filter::Compare { field: name, operator, literal } => compare(&field(name), *operator, literal),
        }
    }

    /// The text that a field must equal for the filter to hold, when it says so.
    pub fn must_equal(&self, name: &str) -> Option<&str> {
        match self {
            Filter::All(parts) => parts.iter().find_map(|part| part.must_equal(name)),
            Filter::Compare { field, operator: Operator::Equal, literal: Literal::Text(text) } if field == name => {
                Some(text)
            }
            _ => None,
        }
    }
}

fn compare(field: &Field<'_>, operator: Operator, literal: &Literal) -> bool {
    use std::cmp::Ordering;
    if let (Operator::Like, Literal::Text(pattern)) = (operator, literal) {
        return match field {
            Field::Text(text) => like(pattern, text),
            _ => like(pattern, ""),
        };
    }
    let order: Option<Ordering> = match (field, literal) {
        (Field::Text(text), Literal::Text(literal)) => Some(text.as_ref().cmp(literal.as_str())),
        (Field::Empty, Literal::Text(literal)) => Some("".cmp(literal.as_str())),
        (Field::Number(number), Literal::Number(literal)) => Some(number.cmp(literal)),
        (Field::Empty, Literal::Number(literal)) => Some(Decimal::ZERO.cmp(literal)),
        (Field::Date(day), Literal::Text(literal)) => stamp::read_filter_date(literal).map(|other| day.cmp(&other)),
        (Field::Number(number), Literal::Text(literal)) => literal.parse().ok().map(|other| number.cmp(&other)),
        (Field::Text(text), Literal::Number(literal)) => Some(text.as_ref().cmp(literal.to_string().as_str())),
        (Field::Date(_), Literal::Number(_)) => None,
    };
    let Some(order) = order else { return false };
    match operator {
        Operator::Equal => order.is_eq(),
        Operator::NotEqual => order.is_ne(),
        Operator::Greater => order.is_gt(),
        Operator::GreaterOrEqual => order.is_ge(),
        Operator::Less => order.is_lt(),
        Operator::LessOrEqual => order.is_le(),
        Operator::Like => false,
    }
}

/// `*` stands for anything; case does not count, as in the database's Turkish collation.
fn like(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (folded(pattern), folded(text));
    let mut pieces = pattern.split('*');
    let Some(mut rest) = pieces.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut pieces = pieces.peekable();
    if pieces.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    true
}

fn folded(text: &str) -> String {
    text.chars()
        .flat_map(|letter| match letter {
            'I' => vec!['ı'],
            'İ' => vec!['i'],
            other => other.to_lowercase().collect(),
        })
        .collect()
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Open,
    Close,
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        rest = match first {
            '(' | ')' => {
                tokens.push(if first == '(' { Token::Open } else { Token::Close });
                &rest[1..]
            }
            '\'' => {
                let (literal, after) = rest[1..].split_once('\'').ok_or("a text without its closing quote")?;
                if after.starts_with('\'') {
                    return Err("a doubled quote".to_owned());
                }
                tokens.push(Token::Text(literal.to_owned()));
                after
            }
            _ => {
                let end = rest.find([' ', '(', ')', '\'']).unwrap_or(rest.len());
                tokens.push(Token::Word(rest[..end].to_owned()));
                &rest[end..]
            }
        }
        .trim_start();
    }
    Ok(tokens)
}

struct Parser<'t> {
    tokens: &'t [Token],
}

impl Parser<'_> {
    fn word(&mut self, wanted: &str) -> bool {
        match self.tokens {
            [Token::Word(word), rest @ ..] if word.eq_ignore_ascii_case(wanted) => {
                self.tokens = rest;
                true
            }
            _ => false,
        }
    }

    fn any(&mut self) -> Result<Filter, String> {
        let mut parts = vec![self.all()?];
        while self.word("or") {
            parts.push(self.all()?);
        }
        Ok(if parts.len() > 1 { Filter::Any(parts) } else { parts.remove(0) })
    }

    fn all(&mut self) -> Result<Filter, String> {
        let mut parts = vec![self.one()?];
        while self.word("and") {
            parts.push(self.one()?);
        }
        Ok(if parts.len() > 1 { Filter::All(parts) } else { parts.remove(0) })
    }

    fn one(&mut self) -> Result<Filter, String> {
        match self.tokens {
            [Token::Open, rest @ ..] => {
                self.tokens = rest;
                let filter = self.any()?;
                let [Token::Close, rest @ ..] = self.tokens else { return Err("a missing `)`".to_owned()) };
                self.tokens = rest;
                Ok(filter)
            }
            [Token::Word(field), Token::Word(operator), literal, rest @ ..] => {
                let operator = match operator.to_ascii_lowercase().as_str() {
                    "eq" => Operator::Equal,
                    "neq" | "ne" => Operator::NotEqual,
                    "gt" => Operator::Greater,
                    "gte" | "ge" => Operator::GreaterOrEqual,
                    "lt" => Operator::Less,
                    "lte" | "le" => Operator::LessOrEqual,
                    "like" => Operator::Like,
                    other => return Err(format!("unknown operator `{other}`")),
                };
                let literal = match literal {
                    Token::Text(text) => Literal::Text(text.clone()),
                    Token::Word(word) => {
                        Literal::Number(word.parse().map_err(|_| format!("`{word}` is neither a text nor a number"))?)
                    }
                    Token::Open | Token::Close => return Err("a missing value".to_owned()),
                };
                self.tokens = rest;
                Ok(Filter::Compare { field: field.to_ascii_uppercase(), operator, literal })
            }
            _ => Err("a comparison was expected".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(text: &str) -> bool {
        Filter::parse(text).unwrap().holds(&mut |name| match name {
            "CODE" => Field::Text("KMR-01".into()),
            "NAME" => Field::Text("Isı Dedektörü İnce".into()),
            "RECORD_STATUS" => Field::Number(Decimal::ZERO),
            "DATE_MODIFIED" => Field::Date(stamp::seconds_of(2026, 2, 27)),
            _ => Field::Empty,
        })
    }

    #[test]
    fn comparisons_hold_as_written() {
        assert!(holds("CODE eq 'KMR-01' and RECORD_STATUS eq 0"));
        assert!(!holds("CODE eq 'kmr-01'"));
        assert!(holds("CODE eq 'X' or (RECORD_STATUS lt 1 and NAME like '*dedektör*')"));
        assert!(holds("NAME like 'ısı*ince'"));
        assert!(!holds("NAME like 'isi*'"));
        assert!(holds("DATE_MODIFIED gte '27.02.2026'") && !holds("DATE_MODIFIED gt '27.02.2026'"));
        assert!(holds("DATE_MODIFIED gte '2026-02-27'") && holds("AUXIL_CODE eq ''"));
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in
            ["", "CODE", "CODE eq", "CODE is 'x'", "(CODE eq 'x'", "CODE eq 'x", "CODE eq 'O''Neil'", "CODE eq x"]
        {
            assert!(Filter::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_wanted_code_is_seen() {
        let filter = Filter::parse("RECORD_STATUS eq 0 and CODE eq 'A'").unwrap();
        assert_eq!(filter.must_equal("CODE"), Some("A"));
        assert_eq!(Filter::parse("CODE eq 'A' or CODE eq 'B'").unwrap().must_equal("CODE"), None);
    }
}
