//! Flags for what one image may cost: the engine's limits, one each.

use clap::Args;
use engine::Limits;

macro_rules! limits {
    ($($(#[$doc:meta])* $flag:ident: $kind:ty = $field:ident, $variable:literal;)*) => {
        #[derive(Debug, Clone, Args)]
        #[command(next_help_heading = "Limits of one image")]
        pub(crate) struct LimitArgs {
            $(
                $(#[$doc])*
                #[arg(long, env = $variable, value_name = "N", default_value_t = Limits::default().$field)]
                $flag: $kind,
            )*
        }

        impl LimitArgs {
            pub(crate) fn limits(&self) -> Limits {
                Limits { $($field: self.$flag,)* }
            }
        }
    };
}

limits! {
    /// The largest image taken, in bytes
    max_input_bytes: u64 = input_bytes, "PIXTOLL_MAX_INPUT_BYTES";
    /// The largest image taken, in pixels
    max_input_pixels: u64 = input_pixels, "PIXTOLL_MAX_INPUT_PIXELS";
    /// The longest side taken, in pixels
    max_input_side: u32 = input_side, "PIXTOLL_MAX_INPUT_SIDE";
    /// The most frames or pages in an image
    max_frames: u32 = frames, "PIXTOLL_MAX_FRAMES";
    /// The most scans in a JPEG
    max_scans: u32 = scans, "PIXTOLL_MAX_SCANS";
    /// The most bytes of metadata and color profiles, unpacked
    max_metadata_bytes: u64 = metadata_bytes, "PIXTOLL_MAX_METADATA_BYTES";
    /// The largest image made, in pixels
    max_output_pixels: u64 = output_pixels, "PIXTOLL_MAX_OUTPUT_PIXELS";
    /// The longest side made, in pixels
    max_output_side: u32 = output_side, "PIXTOLL_MAX_OUTPUT_SIDE";
    /// The most computing for one image, in units of 1 to 3.5 ns
    max_work: u64 = work, "PIXTOLL_MAX_WORK";
    /// The most memory for one image beside its source, in bytes
    max_job_memory_bytes: u64 = job_memory_bytes, "PIXTOLL_MAX_JOB_MEMORY_BYTES";
}
