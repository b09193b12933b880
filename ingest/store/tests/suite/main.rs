//! What every backend must do alike (`conformance`), what a kill leaves (`kill`), and what only folders have (`folder`).

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod folder;
#[cfg(test)]
mod kill;
#[cfg(test)]
mod s3;
