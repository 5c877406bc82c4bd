//! From bytes that somebody sent to a picture that may be shown.

use std::io::Cursor;

use image::{
    DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits,
    codecs::{jpeg::JpegEncoder, webp::WebPEncoder},
};

pub const LARGEST_BYTES: usize = 10 * 1024 * 1024;
pub const LARGEST_PIXELS: u64 = 40_000_000;
/// What decoding may take: four bytes for a pixel, and the decoder's own tables.
const LARGEST_ALLOCATION: u64 = 4 * LARGEST_PIXELS + 64 * 1024 * 1024;
const JPEG_QUALITY: u8 = 88;

/// A picture as it was encoded here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    pub bytes: Vec<u8>,
    /// `jpg`, `png` or `webp`.
    pub extension: &'static str,
    pub width: u32,
    pub height: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPicture {
    #[error("the picture has {0} bytes, more than {LARGEST_BYTES}; make it smaller")]
    TooManyBytes(usize),
    #[error("the file is no JPEG, PNG or WebP, whatever its name says; convert it")]
    OtherFormat,
    #[error("the picture has {width} × {height} pixels, more than {LARGEST_PIXELS} in all; make it smaller")]
    TooManyPixels { width: u32, height: u32 },
    #[error("the picture cannot be read: {0}; save it anew")]
    Unreadable(String),
}

impl BadPicture {
    /// For programs.
    pub const fn code(&self) -> &'static str {
        match self {
            BadPicture::TooManyBytes(_) => "too_large",
            BadPicture::OtherFormat => "format",
            BadPicture::TooManyPixels { .. } => "too_many_pixels",
            BadPicture::Unreadable(_) => "unreadable",
        }
    }
}

impl Picture {
    /// Takes as long as it takes to draw a picture: not for a thread that others wait for.
    pub fn read(sent: &[u8]) -> Result<Picture, BadPicture> {
        if sent.len() > LARGEST_BYTES {
            return Err(BadPicture::TooManyBytes(sent.len()));
        }
        let format = image::guess_format(sent).map_err(|_| BadPicture::OtherFormat)?;
        if !matches!(format, ImageFormat::Jpeg | ImageFormat::Png | ImageFormat::WebP) {
            return Err(BadPicture::OtherFormat);
        }
        let unreadable = |error: image::ImageError| BadPicture::Unreadable(error.to_string());
        let mut reader = ImageReader::with_format(Cursor::new(sent), format);
        let mut limits = Limits::default();
        limits.max_alloc = Some(LARGEST_ALLOCATION);
        reader.limits(limits);
        let mut decoder = reader.into_decoder().map_err(unreadable)?;
        let (width, height) = decoder.dimensions();
        if u64::from(width) * u64::from(height) > LARGEST_PIXELS {
            return Err(BadPicture::TooManyPixels { width, height });
        }
        // Cameras turn their pictures by a note; the note goes, so the picture is turned.
        let turned = decoder.orientation().map_err(unreadable)?;
        let mut drawn = DynamicImage::from_decoder(decoder).map_err(unreadable)?;
        drawn.apply_orientation(turned);
        encode(&drawn, format).map_err(unreadable)
    }
}

fn encode(drawn: &DynamicImage, format: ImageFormat) -> Result<Picture, image::ImageError> {
    let mut bytes = Vec::new();
    let extension = match format {
        ImageFormat::Png => {
            drawn.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png)?;
            "png"
        }
        // Without transparency it is a photograph, and without loss it would be many times as large.
        ImageFormat::WebP if drawn.color().has_alpha() => {
            let pixels = drawn.to_rgba8();
            WebPEncoder::new_lossless(&mut bytes).encode(
                &pixels,
                pixels.width(),
                pixels.height(),
                image::ExtendedColorType::Rgba8,
            )?;
            "webp"
        }
        _ => {
            JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY).encode_image(&drawn.to_rgb8())?;
            "jpg"
        }
    };
    Ok(Picture { bytes, extension, width: drawn.width(), height: drawn.height() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        let drawn = DynamicImage::new_rgb8(width, height);
        drawn.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).expect("encoded");
        bytes
    }

    #[test]
    fn what_is_kept_was_drawn_here() {
        let mut sent = png(3, 2);
        sent.extend_from_slice(b"<script>alert(1)</script>");
        let picture = Picture::read(&sent).expect("a picture");
        assert_eq!((picture.extension, picture.width, picture.height), ("png", 3, 2));
        assert!(!picture.bytes.windows(8).any(|part| part == b"<script>"), "what hung behind it is gone");
        assert_eq!(Picture::read(&picture.bytes).expect("a picture").width, 3);
    }

    #[test]
    fn content_decides_and_not_names() {
        for sent in
            [&b""[..], b"GIF89a.....", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%PDF-1.7", b"\x00\x01\x02"]
        {
            assert_eq!(Picture::read(sent), Err(BadPicture::OtherFormat));
        }
        assert!(matches!(Picture::read(b"\xFF\xD8\xFF\xE0rest"), Err(BadPicture::Unreadable(_))));
        let mut cut = png(64, 64);
        cut.truncate(40);
        assert!(matches!(Picture::read(&cut), Err(BadPicture::Unreadable(_))));
        assert_eq!(Picture::read(&vec![0; LARGEST_BYTES + 1]), Err(BadPicture::TooManyBytes(LARGEST_BYTES + 1)));
    }

    #[test]
    fn pixels_are_counted_before_anything_is_drawn() {
        // A head that promises 60,000 × 60,000 pixels, and next to nothing behind it.
        let mut bomb = png(1, 1);
        bomb[16..20].copy_from_slice(&60_000_u32.to_be_bytes());
        bomb[20..24].copy_from_slice(&60_000_u32.to_be_bytes());
        let sum = crc(&bomb[12..29]);
        bomb[29..33].copy_from_slice(&sum.to_be_bytes());
        assert_eq!(Picture::read(&bomb), Err(BadPicture::TooManyPixels { width: 60_000, height: 60_000 }));
    }

    /// The checksum of a PNG chunk.
    fn crc(bytes: &[u8]) -> u32 {
        let step = |sum: u32| if sum & 1 == 1 { 0xEDB8_8320 ^ (sum >> 1) } else { sum >> 1 };
        let sum = bytes.iter().fold(u32::MAX, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), |sum, _| step(sum)));
        !sum
    }
}
