//! The admin API: who gets in, what each group of routes shows and does.

mod routes;
