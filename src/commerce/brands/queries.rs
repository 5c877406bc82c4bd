//! Statements.

use crate::commerce::code_lists::code_list;

code_list!(upsert_brands, "brand", "brands");
