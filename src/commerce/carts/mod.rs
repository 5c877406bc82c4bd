//! Carts: one for each user of a dealer, the same on every device.
//!
//! Invariants
//! - A cart holds a product once, in one unit. Putting the same again changes nothing.
//! - Prices and stock are asked for whenever a cart is shown; what is remembered is only what its user chose and saw.
//! - An order of a cart never goes through where a unit costs more, less the dealer's discount, than was shown last, and empties
//!   it in its transaction.
//! - A cart that nobody changed for its time is empty (the database's clock).

mod change;
mod items;
mod show;

pub(crate) use change::clear;
pub use change::{empty, put, remove, trim};
pub(crate) use items::take;
pub use show::{Cart, CartItem, Notice, show};
