//! A record that rdkafka's safe interface can't send, and any other producer can.
#![expect(unsafe_code, reason = "librdkafka takes header names as bytes, rdkafka only as text")]

use std::ffi::CString;
use std::ptr;
use std::time::Duration;

use anyhow::{Result, ensure};
use rdkafka::ClientConfig;
use rdkafka::bindings::{self, rd_kafka_vtype_t as Field, rd_kafka_vu_s as Value};
use rdkafka::bindings::{
    rd_kafka_vu_s__bindgen_ty_1 as Of, rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 as Memory,
    rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_2 as Header,
};
use rdkafka::producer::{BaseProducer, Producer as _};

const DELIVERY: Duration = Duration::from_secs(20);

/// Sends a record to partition 0 with one header, whose name is any bytes but NUL. Answers its offset; nobody else may
/// be sending to that partition.
pub(crate) fn send_with_header(brokers: &str, topic: &str, key: &[u8], payload: &[u8], name: &[u8]) -> Result<i64> {
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", brokers).set("acks", "all").create()?;
    let end = || anyhow::Ok(producer.client().fetch_watermarks(topic, 0, DELIVERY)?.1);
    let offset = end()?;

    let (topic_c, name) = (CString::new(topic)?, CString::new(name)?);
    let memory = |bytes: &[u8]| Of { mem: Memory { ptr: bytes.as_ptr().cast_mut().cast(), size: bytes.len() } };
    let header = Header { name: name.as_ptr(), val: ptr::null(), size: 0 };
    let copy = bindings::RD_KAFKA_MSG_F_COPY;
    let fields = [
        Value { vtype: Field::RD_KAFKA_VTYPE_TOPIC, u: Of { cstr: topic_c.as_ptr() } },
        Value { vtype: Field::RD_KAFKA_VTYPE_PARTITION, u: Of { i32_: 0 } },
        Value { vtype: Field::RD_KAFKA_VTYPE_MSGFLAGS, u: Of { i: copy } },
        Value { vtype: Field::RD_KAFKA_VTYPE_KEY, u: memory(key) },
        Value { vtype: Field::RD_KAFKA_VTYPE_VALUE, u: memory(payload) },
        Value { vtype: Field::RD_KAFKA_VTYPE_HEADER, u: Of { header } },
    ];
    // SAFETY: the producer is alive; each field's value is of the kind that its type names; what they point at lives to
    // the end of this function, and librdkafka copies it all before it returns (F_COPY for key and value, always for
    // the rest).
    let error = unsafe { bindings::rd_kafka_produceva(producer.client().native_ptr(), fields.as_ptr(), fields.len()) };
    ensure!(error.is_null(), "librdkafka did not take the record");
    producer.flush(DELIVERY)?;
    ensure!(end()? == offset + 1, "the record is not where it should be");
    Ok(offset)
}
