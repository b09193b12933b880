//! Landed segments into large Parquet files: the same rows in the same order, one segment in memory at a time.

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use contract::Digest;
use indicatif::ProgressBar;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::SchemaDescPtr;
use seals::manifest::{LandedFile, PARQUET, SealedPartition, StoredFile};
use seals::sealed::{self, SealedFooter, SealedSegment};
use segments::Segment;
use store::Store;

use crate::plan::Part;
use crate::seal::put;

/// A file takes no more segments once those in it have this many bytes: it is held in memory until it is put.
pub const FULL_BYTES: u64 = 256 << 20;
const ROW_GROUP_ROWS: usize = 131_072;

/// Writes a part's files, each full at `full_bytes`, and describes them for the manifest.
pub async fn partition(
    working: &Store,
    archive: &Store,
    part: &Part,
    full_bytes: u64,
    progress: &ProgressBar,
) -> anyhow::Result<SealedPartition> {
    let mut files = Vec::new();
    let mut open: Option<Writer> = None;
    for segment in &part.segments {
        let rows = read(working, segment).await?;
        if let Some(writer) = open.take_if(|writer| !writer.takes(&rows, full_bytes)) {
            files.push(writer.put(archive).await?);
        }
        let mut writer = match open.take() {
            Some(writer) => writer,
            None => Writer::new(&rows)?,
        };
        writer.add(segment, rows).with_context(|| format!("can't rewrite {}", segment.path))?;
        open = Some(writer);
        progress.inc(segment.bytes);
    }
    if let Some(writer) = open {
        files.push(writer.put(archive).await?);
    }
    Ok(SealedPartition { id: part.id, from: part.from, to: part.to, head_sha256: part.head_sha256, files })
}

type Rows = ParquetRecordBatchReaderBuilder<Bytes>;

/// A fresh read, its digest checked.
async fn read(working: &Store, segment: &Segment) -> anyhow::Result<Rows> {
    let path = &segment.path;
    let bytes = working.get(path).await?.with_context(|| format!("{path} is missing"))?;
    ensure!(Digest::of(&bytes) == segment.sha256, "{path} has changed since it was read");
    ParquetRecordBatchReaderBuilder::try_new(bytes).with_context(|| format!("can't read {path}"))
}

struct Writer {
    parquet: ArrowWriter<Vec<u8>>,
    /// The segments' own, so that every tool sees the same columns and types.
    schema: SchemaDescPtr,
    segments: Vec<SealedSegment>,
    bytes_in: u64,
}

impl Writer {
    fn new(rows: &Rows) -> anyhow::Result<Self> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
            .set_created_by("pixtoll".to_owned())
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .build();
        let schema = rows.metadata().file_metadata().schema_descr_ptr();
        let options =
            ArrowWriterOptions::new().with_properties(properties).with_parquet_schema(schema.as_ref().clone());
        let parquet = ArrowWriter::try_new_with_options(Vec::new(), rows.schema().clone(), options)?;
        Ok(Self { parquet, schema, segments: Vec::new(), bytes_in: 0 })
    }

    fn takes(&self, rows: &Rows, full_bytes: u64) -> bool {
        self.bytes_in < full_bytes && self.schema.root_schema() == rows.metadata().file_metadata().schema()
    }

    fn add(&mut self, segment: &Segment, rows: Rows) -> anyhow::Result<()> {
        let mut written = 0;
        for batch in rows.build()? {
            let batch = batch?;
            written += batch.num_rows() as u64;
            self.parquet.write(&batch)?;
        }
        ensure!(written == segment.footer.rows, "{written} rows read, {} by its footer", segment.footer.rows);
        self.bytes_in += segment.bytes;
        let Segment { sha256, bytes, footer, .. } = segment.clone();
        self.segments.push(SealedSegment { sha256, bytes, footer });
        Ok(())
    }

    async fn put(mut self, archive: &Store) -> anyhow::Result<LandedFile> {
        let footer = SealedFooter { version: sealed::Version::V1, segments: self.segments };
        let json = String::from_utf8(footer.encode()?)?;
        self.parquet.append_key_value_metadata(KeyValue::new(sealed::KEY.to_owned(), json));
        let bytes = Bytes::from(self.parquet.into_inner()?);
        let file = StoredFile::of(&bytes, PARQUET);
        put(archive, &file, bytes).await?;
        footer.describe(file).context("a file without segments")
    }
}
