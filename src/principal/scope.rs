//! Whose data a query may touch.

/// A query on dealer data cannot be called without one.
///
/// In SQL: `where ($1 or customer_id = $2)` with [`Scope::is_house`] and [`Scope::company_id`]; the company of a scope
/// that sees nobody's data is an id that no row has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope(Reach);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Nobody,
    Company(i64),
    House,
}

impl Scope {
    /// One dealer company (`commerce.customer.id`).
    pub const fn company(id: i64) -> Scope {
        Scope(Reach::Company(id))
    }

    /// Everybody's: for people of the house, and for the hub's own work.
    pub const fn house() -> Scope {
        Scope(Reach::House)
    }

    pub(super) const fn nobody() -> Scope {
        Scope(Reach::Nobody)
    }

    pub const fn is_house(self) -> bool {
        matches!(self.0, Reach::House)
    }

    /// Ids of rows begin at 1: 0 is nobody's.
    pub const fn company_id(self) -> i64 {
        match self.0 {
            Reach::Company(id) => id,
            Reach::Nobody | Reach::House => 0,
        }
    }

    pub const fn covers(self, company: i64) -> bool {
        match self.0 {
            Reach::Company(id) => id == company,
            Reach::House => true,
            Reach::Nobody => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_covers_its_own_company_and_the_house_all() {
        assert!(Scope::company(7).covers(7) && !Scope::company(7).covers(8));
        assert!(Scope::house().covers(8));
        assert!(!Scope::nobody().covers(0) && !Scope::nobody().is_house());
    }
}
