//! Statements.

use crate::commerce::code_lists::code_list;

code_list!(upsert_price_lists, "price_list", "price lists");
