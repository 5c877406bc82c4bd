//! Who owns which field. This is the one table of it.
//!
//! | owner | the source's word | a person's edit |
//! | --- | --- | --- |
//! | `Source` | always wins | refused on a linked record, or an override |
//! | `Initial` | counts when the record is created | allowed; it stays |
//! | `Hub` | ignored | allowed |
//!
//! A field's place in its list is its bit in the masks that commands exchange with their SQL (`given`: the row carries
//! it; `changed`: it got another value), so lists grow at the end only.

use super::{Patch, Writer};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    Source,
    Initial,
    Hub,
}

/// A field of an entity: its canonical name, its owner and its bit.
pub trait Field: Copy + Sized + 'static {
    const ALL: &'static [Self];
    fn name(self) -> &'static str;
    fn owner(self) -> Owner;
    fn bit(self) -> i64;
}

macro_rules! fields {
    ($(#[$doc:meta])* $entity:ident { $($field:ident $name:literal $owner:ident,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $entity { $($field,)+ }

        impl Field for $entity {
            const ALL: &'static [Self] = &[$($entity::$field,)+];

            fn name(self) -> &'static str {
                match self { $($entity::$field => $name,)+ }
            }

            fn owner(self) -> Owner {
                match self { $($entity::$field => Owner::$owner,)+ }
            }

            fn bit(self) -> i64 {
                1 << (self as u32)
            }
        }
    };
}

fields! {
    ProductField {
        Code "code" Source,
        Sku "sku" Source,
        Name "name" Source,
        Category "category" Source,
        Brand "brand" Source,
        UnitSet "unitSet" Source,
        Unit "unit" Source,
        Barcode "barcode" Source,
        VatRate "vatRate" Source,
        IsActive "isActive" Source,
        TrackStock "trackStock" Source,
        RequiresSerialNumber "requiresSerialNumber" Source,
        ProductTypeCode "productTypeCode" Source,
        WarrantyMonths "warrantyMonths" Source,
        Weight "weight" Source,
        WeightUnit "weightUnit" Source,
        MinimumOrderQuantity "minimumOrderQuantity" Source,
        OrderMultiple "orderMultiple" Source,
        VariantGroup "variantGroup" Source,
        Options "options" Source,
        Units "units" Source,
        ShortDescription "shortDescription" Initial,
        Description "description" Initial,
        Attributes "attributes" Initial,
        Images "images" Initial,
        IsFeatured "isFeatured" Initial,
        Slug "slug" Hub,
    }
}

fields! {
    /// Prices are the source's, whole.
    PriceField {
        Code "code" Source,
        Product "product" Source,
        Role "role" Source,
        Amount "amount" Source,
        Currency "currency" Source,
        Unit "unit" Source,
        VatIncluded "vatIncluded" Source,
        MinQuantity "minQuantity" Source,
        Priority "priority" Source,
        ValidFrom "validFrom" Source,
        ValidTo "validTo" Source,
        Customer "customer" Source,
        CustomerPattern "customerPattern" Source,
        PriceList "priceList" Source,
        Tier "tier" Source,
        IsActive "isActive" Source,
    }
}

fields! {
    /// What a level is of, product and warehouse, never changes.
    StockField {
        Quantity "quantity" Source,
        OnHand "onHand" Source,
        Reserved "reserved" Source,
        OnOrder "onOrder" Source,
    }
}

fields! {
    CustomerField {
        Code "code" Source,
        Title "title" Source,
        TaxNumber "taxNumber" Source,
        TaxOffice "taxOffice" Source,
        IsPerson "isPerson" Source,
        Contact "contact" Source,
        Email "email" Source,
        Phone "phone" Source,
        Mobile "mobile" Source,
        PriceTier "priceTier" Source,
        CreditLimit "creditLimit" Source,
        Currency "currency" Source,
        PaymentTermCode "paymentTermCode" Source,
        PaymentTermDays "paymentTermDays" Source,
        DiscountRate "discountRate" Source,
        TradingGroup "tradingGroup" Source,
        IsActive "isActive" Source,
        Addresses "addresses" Source,
        IsApproved "isApproved" Initial,
    }
}

fields! {
    CategoryField {
        Code "code" Source,
        Name "name" Source,
        Parent "parent" Source,
        IsActive "isActive" Source,
    }
}

fields! {
    /// Brands, warehouses, price lists.
    CodeListField {
        Code "code" Source,
        Name "name" Source,
        IsActive "isActive" Source,
    }
}

fields! {
    UnitSetField {
        Code "code" Source,
        Name "name" Source,
        Units "units" Source,
    }
}

/// Collects which fields a row carries for its writer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Given {
    writer: Writer,
    is_new: bool,
    mask: i64,
}

impl Given {
    pub(crate) const fn new(writer: Writer, is_new: bool) -> Given {
        Given { writer, is_new, mask: 0 }
    }

    pub(crate) const fn mask(self) -> i64 {
        self.mask
    }

    /// Whether the row writes this field: carried, and the writer's to write.
    pub(crate) fn take<T>(&mut self, field: impl Field, patch: &Patch<T>) -> bool {
        let allowed = match (self.writer, field.owner()) {
            (Writer::Person, _) | (Writer::Source, Owner::Source) => true,
            (Writer::Source, Owner::Initial) => self.is_new,
            (Writer::Source, Owner::Hub) => false,
        };
        let taken = allowed && !patch.is_keep();
        if taken {
            self.mask |= field.bit();
        }
        taken
    }

    pub(crate) fn optional<T>(&mut self, field: impl Field, patch: Patch<T>) -> Option<T> {
        if self.take(field, &patch) { patch.value() } else { None }
    }

    /// For a column that is never null: clearing it means its default.
    pub(crate) fn defaulted<T>(&mut self, field: impl Field, patch: Patch<T>, default: T) -> T {
        self.optional(field, patch).unwrap_or(default)
    }
}

/// The names of the fields in a mask, as events tell them.
pub(crate) fn names<F: Field>(mask: i64) -> Vec<&'static str> {
    F::ALL.iter().filter(|field| mask & field.bit() != 0).map(|field| field.name()).collect()
}

/// The field of any entity that has this canonical name.
pub(crate) fn field_named(name: &str) -> Option<&'static str> {
    fn among<F: Field>(name: &str) -> Option<&'static str> {
        F::ALL.iter().map(|field| field.name()).find(|known| *known == name)
    }
    among::<ProductField>(name)
        .or_else(|| among::<PriceField>(name))
        .or_else(|| among::<StockField>(name))
        .or_else(|| among::<CustomerField>(name))
        .or_else(|| among::<CategoryField>(name))
        .or_else(|| among::<CodeListField>(name))
        .or_else(|| among::<UnitSetField>(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_writes_initial_fields_once_and_hub_fields_never() {
        let carried = Patch::Set(true);
        let writes = |writer, is_new, field| Given::new(writer, is_new).take(field, &carried);
        assert!(writes(Writer::Source, false, ProductField::Name));
        assert!(writes(Writer::Source, true, ProductField::Description));
        assert!(!writes(Writer::Source, false, ProductField::Description));
        assert!(!writes(Writer::Source, true, ProductField::Slug));
        assert!(writes(Writer::Person, false, ProductField::Description));
        assert!(!Given::new(Writer::Person, true).take(ProductField::Name, &Patch::<&str>::Keep));
    }

    #[test]
    fn masks_speak_canonical_names() {
        let mask = ProductField::Name.bit() | ProductField::VatRate.bit();
        assert_eq!(names::<ProductField>(mask), ["name", "vatRate"]);
    }
}
