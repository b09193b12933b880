//! The month's arithmetic on a lake made here, against plain loops over what was put into it.

mod dedup;
mod invariants;
mod landing;
mod month;
