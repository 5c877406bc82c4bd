//! What somebody may do.

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident $text:literal,)+) => {
        /// One thing that a caller may or may not do. Whether it is done to one company's data or to anybody's, the
        /// scope says.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Permission { $($(#[$doc])* $name,)+ }

        impl Permission {
            pub const ALL: &'static [Permission] = &[$(Permission::$name,)+];

            pub const fn as_str(self) -> &'static str {
                match self { $(Permission::$name => $text,)+ }
            }
        }
    };
}

permissions! {
    /// The catalogue, at the caller's prices.
    ProductsView "products.view",
    ProductsCreate "products.create",
    ProductsEdit "products.edit",
    ProductsDelete "products.delete",
    /// Hold a field of a product against its source.
    ProductsOverride "products.override",
    /// Prices and stock of a product by hand.
    PricesEdit "prices.edit",
    StockEdit "stock.edit",
    /// What a product cost the house.
    CostsView "costs.view",
    /// How many there are, and where. Others learn whether there are some.
    StockView "stock.view",
    OrdersCreate "orders.create",
    OrdersView "orders.view",
    OrdersCancel "orders.cancel",
    OrdersApprove "orders.approve",
    CustomersView "customers.view",
    CustomersEdit "customers.edit",
    CustomersApprove "customers.approve",
    /// Credit limit and terms of payment.
    CreditEdit "credit.edit",
    /// Balance, movements, statement, invoices.
    AccountView "account.view",
    PaymentsView "payments.view",
    PaymentsProcess "payments.process",
    ShipmentsView "shipments.view",
    ShipmentsCreate "shipments.create",
    ReturnsCreate "returns.create",
    ReturnsView "returns.view",
    /// Approve, reject, receive.
    ReturnsDecide "returns.decide",
    UsersView "users.view",
    UsersEdit "users.edit",
    AuditView "audit.view",
    HubView "hub.view",
    HubOperate "hub.operate",
    HubConfigure "hub.configure",
}

impl Permission {
    pub fn parse(text: &str) -> Option<Permission> {
        Permission::ALL.iter().copied().find(|permission| permission.as_str() == text)
    }
}

/// A set of permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Permissions(u64);

impl Permissions {
    pub const NONE: Permissions = Permissions(0);

    pub const fn of(list: &[Permission]) -> Permissions {
        let mut bits = 0;
        let mut at = 0;
        while at < list.len() {
            bits |= 1 << (list[at] as u32);
            at += 1;
        }
        Permissions(bits)
    }

    pub const fn all() -> Permissions {
        Permissions::of(Permission::ALL)
    }

    pub const fn contains(self, permission: Permission) -> bool {
        self.0 & (1 << (permission as u32)) != 0
    }

    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.iter().copied().filter(move |permission| self.contains(*permission))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_stand_once() {
        for permission in Permission::ALL {
            assert_eq!(Permission::parse(permission.as_str()), Some(*permission));
        }
        assert_eq!(Permission::parse("orders.everything"), None);
    }

    #[test]
    fn a_set_holds_what_it_was_made_of() {
        let set = Permissions::of(&[Permission::OrdersView, Permission::HubConfigure]);
        assert_eq!(set.iter().collect::<Vec<_>>(), [Permission::OrdersView, Permission::HubConfigure]);
        assert_eq!(Permissions::all().iter().count(), Permission::ALL.len());
    }
}
