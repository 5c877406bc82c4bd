-- Known customers of a page. Rows are locked by rising id; `changed` has a bit for each given field that differs from
-- what the store holds (ownership.rs numbers them), and `parts` that of the addresses, found beforehand.
with current as materialized (
    select
        p.id, i.place, i.payment_term_days, i.is_person, i.is_active, i.is_approved, i.tax_number_valid, i.code,
        i.title, i.tax_number, i.tax_office, i.contact, i.email, i.phone, i.mobile, i.price_tier, i.credit_limit,
        i.currency, i.payment_term_code, i.discount_rate, i.trading_group,
        i.parts
        | case when i.given & (1 << 0) <> 0 and p.code <> i.code then 1 << 0 else 0 end
        | case when i.given & (1 << 1) <> 0 and p.title <> i.title then 1 << 1 else 0 end
        | case when i.given & (1 << 2) <> 0 and p.tax_number is distinct from i.tax_number then 1 << 2 else 0 end
        | case when i.given & (1 << 3) <> 0 and p.tax_office is distinct from i.tax_office then 1 << 3 else 0 end
        | case when i.given & (1 << 4) <> 0 and p.is_person <> i.is_person then 1 << 4 else 0 end
        | case when i.given & (1 << 5) <> 0 and p.contact is distinct from i.contact then 1 << 5 else 0 end
        | case when i.given & (1 << 6) <> 0 and p.email is distinct from i.email then 1 << 6 else 0 end
        | case when i.given & (1 << 7) <> 0 and p.phone is distinct from i.phone then 1 << 7 else 0 end
        | case when i.given & (1 << 8) <> 0 and p.mobile is distinct from i.mobile then 1 << 8 else 0 end
        | case when i.given & (1 << 9) <> 0 and p.price_tier is distinct from i.price_tier then 1 << 9 else 0 end
        | case when i.given & (1 << 10) <> 0 and p.credit_limit is distinct from i.credit_limit then 1 << 10 else 0 end
        | case when i.given & (1 << 11) <> 0 and p.currency <> i.currency then 1 << 11 else 0 end
        | case when i.given & (1 << 12) <> 0 and p.payment_term_code is distinct from i.payment_term_code
               then 1 << 12 else 0 end
        | case when i.given & (1 << 13) <> 0 and p.payment_term_days is distinct from i.payment_term_days
               then 1 << 13 else 0 end
        | case when i.given & (1 << 14) <> 0 and p.discount_rate is distinct from i.discount_rate
               then 1 << 14 else 0 end
        | case when i.given & (1 << 15) <> 0 and p.trading_group is distinct from i.trading_group
               then 1 << 15 else 0 end
        | case when i.given & (1 << 16) <> 0 and p.is_active <> i.is_active then 1 << 16 else 0 end
        | case when i.given & (1 << 18) <> 0 and p.is_approved <> i.is_approved then 1 << 18 else 0 end
            as changed
    from unnest(
        $1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::integer[], $6::boolean[], $7::boolean[],
        $8::boolean[], $9::boolean[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[],
        $16::text[], $17::text[], $18::text[], $19::numeric[], $20::text[], $21::text[], $22::numeric[], $23::text[]
    ) as i (
        place, given, parts, id, payment_term_days, is_person, is_active,
        is_approved, tax_number_valid, code, title, tax_number, tax_office, contact, email,
        phone, mobile, price_tier, credit_limit, currency, payment_term_code, discount_rate, trading_group
    )
    join commerce.customer p on p.id = i.id
    order by p.id
    for no key update of p
), updated as (
    update commerce.customer p
    set code = case when c.changed & (1 << 0) <> 0 then c.code else p.code end,
        title = case when c.changed & (1 << 1) <> 0 then c.title else p.title end,
        tax_number = case when c.changed & (1 << 2) <> 0 then c.tax_number else p.tax_number end,
        tax_number_valid = case when c.changed & (1 << 2) <> 0 then c.tax_number_valid else p.tax_number_valid end,
        tax_office = case when c.changed & (1 << 3) <> 0 then c.tax_office else p.tax_office end,
        is_person = case when c.changed & (1 << 4) <> 0 then c.is_person else p.is_person end,
        contact = case when c.changed & (1 << 5) <> 0 then c.contact else p.contact end,
        email = case when c.changed & (1 << 6) <> 0 then c.email else p.email end,
        phone = case when c.changed & (1 << 7) <> 0 then c.phone else p.phone end,
        mobile = case when c.changed & (1 << 8) <> 0 then c.mobile else p.mobile end,
        price_tier = case when c.changed & (1 << 9) <> 0 then c.price_tier else p.price_tier end,
        credit_limit = case when c.changed & (1 << 10) <> 0 then c.credit_limit else p.credit_limit end,
        currency = case when c.changed & (1 << 11) <> 0 then c.currency else p.currency end,
        payment_term_code = case when c.changed & (1 << 12) <> 0 then c.payment_term_code else p.payment_term_code end,
        payment_term_days = case when c.changed & (1 << 13) <> 0 then c.payment_term_days else p.payment_term_days end,
        discount_rate = case when c.changed & (1 << 14) <> 0 then c.discount_rate else p.discount_rate end,
        trading_group = case when c.changed & (1 << 15) <> 0 then c.trading_group else p.trading_group end,
        is_active = case when c.changed & (1 << 16) <> 0 then c.is_active else p.is_active end,
        is_approved = case when c.changed & (1 << 18) <> 0 then c.is_approved else p.is_approved end,
        revision = p.revision + 1,
        updated_at = $24,
        updated_by = $25
    from current c
    where p.id = c.id and c.changed <> 0
)
select place as "place!", changed as "changed!" from current
