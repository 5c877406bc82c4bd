-- One schema per room that stores anything.
create schema commerce;
create schema hub;
create schema identity;
