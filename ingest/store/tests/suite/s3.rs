//! The real S3 server, which the tests are given.

use std::env;

const HOW: &str = "run it through `make test`, which starts the servers";

/// The URL of a fresh prefix in the test bucket.
pub(crate) fn fresh_url(test: &str) -> String {
    let endpoint = env::var("PIXTOLL_TEST_S3_ENDPOINT").unwrap_or_else(|_| panic!("no S3 server: {HOW}"));
    let bucket = env::var("PIXTOLL_TEST_S3_BUCKET").unwrap_or_else(|_| panic!("no S3 bucket: {HOW}"));
    // Else the store would speak to Amazon.
    assert_eq!(env::var("AWS_ENDPOINT").as_deref(), Ok(&*endpoint), "AWS_ENDPOINT is not the test server: {HOW}");
    let unique = tempfile::Builder::new().prefix(test).tempdir().unwrap();
    let unique = unique.path().file_name().unwrap().to_str().unwrap();
    format!("s3://{bucket}/{unique}-{}", std::process::id())
}
