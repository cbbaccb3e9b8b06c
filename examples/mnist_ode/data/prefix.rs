//! Takes the first images of checked training data through the `mnist` crate.

use super::idx::{Training, IMAGES, LABELS, PIXELS, SIDE};
use mnist::{Mnist, MnistBuilder};
use std::fs;
use std::io;
use std::path::Path;

/// The counts which the crate insists on in the headers.
const TRAIN: u32 = 60_000;
const TEST: u32 = 10_000;

/// The first `wanted` images and labels. The caller has checked that there are as many.
pub(crate) fn first(training: &Training, wanted: usize) -> (Vec<u8>, Vec<u8>) {
    let images = &training.images[..wanted * PIXELS];
    let labels = &training.labels[..wanted];
    // The crate cannot take more than it expects, a path that is no UTF-8, or a full disk; the
    // checked bytes are the same images.
    through_crate(images, labels).unwrap_or_else(|| (images.to_vec(), labels.to_vec()))
}

/// Lays the files out as the crate wants them and lets it parse them.
///
/// It always opens four files and compares the counts in their headers with 60000 and 10000, but
/// takes what follows the header as it is. So the training files hold just what is wanted, and the
/// test files, of which nothing is used, are headers alone: nobody has to own them.
fn through_crate(images: &[u8], labels: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let wanted = u32::try_from(labels.len()).ok().filter(|&n| n <= TRAIN)?;
    let _guard = super::TEMPORARY.lock();
    let folder = tempfile::tempdir().ok()?;
    let base = folder.path().to_str()?;
    let (test_images, test_labels) = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte");
    let write = |name: &str, header: &[u32], values: &[u8]| -> io::Result<()> {
        write_idx(&folder.path().join(name), header, values)
    };
    write(IMAGES.name, &[IMAGES.magic, TRAIN, SIDE, SIDE], images).ok()?;
    write(LABELS.name, &[LABELS.magic, TRAIN], labels).ok()?;
    write(test_images, &[IMAGES.magic, TEST, SIDE, SIDE], &[]).ok()?;
    write(test_labels, &[LABELS.magic, TEST], &[]).ok()?;
    let Mnist {
        trn_img, trn_lbl, ..
    } = MnistBuilder::new()
        .base_path(base)
        .label_format_digit()
        .training_set_length(wanted)
        .test_set_length(0)
        .finalize();
    Some((trn_img, trn_lbl))
}

/// Writes an IDX file.
fn write_idx(path: &Path, header: &[u32], values: &[u8]) -> io::Result<()> {
    let mut bytes: Vec<u8> = header.iter().flat_map(|n| n.to_be_bytes()).collect();
    bytes.extend_from_slice(values);
    fs::write(path, bytes)
}
