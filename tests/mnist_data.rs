//! The data layer of the example `mnist_ode`: what it makes of good, broken and missing files, and
//! what it draws where there are none.

#[allow(
    dead_code,
    reason = "the example uses parts of the module that the tests do not"
)]
#[path = "../examples/mnist_ode/data/mod.rs"]
mod data;

use data::error::{Fault, Named};
use data::{digits, load, DataError, Origin, Places};
use flate2::{write::GzEncoder, Compression};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const IMAGES: &str = "train-images-idx3-ubyte";
const LABELS: &str = "train-labels-idx1-ubyte";
const PIXELS: usize = 28 * 28;

/// An IDX file: a header of big-endian numbers, then the values.
fn idx(header: &[u32], values: &[u8]) -> Vec<u8> {
    let mut bytes: Vec<u8> = header.iter().flat_map(|n| n.to_be_bytes()).collect();
    bytes.extend_from_slice(values);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

/// Two good files of `count` images, whose pixels and labels can be told apart.
fn good(count: u32) -> (Vec<u8>, Vec<u8>) {
    let pixels: Vec<u8> = (0..count as usize * PIXELS)
        .map(|at| u8::try_from(at % 251).unwrap())
        .collect();
    let labels: Vec<u8> = (0..count)
        .map(|at| u8::try_from(at % 10).unwrap())
        .collect();
    (
        idx(&[0x0803, count, 28, 28], &pixels),
        idx(&[0x0801, count], &labels),
    )
}

/// A folder of files under the given names.
fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

fn flag(folder: &Path) -> Places {
    Places {
        data_dir: Some(folder.to_path_buf()),
        ..Places::default()
    }
}

/// Loads 3 images from files that must not work; gives what was wrong and the whole message.
fn fault(files: &[(&str, &[u8])]) -> (Fault, String) {
    let folder = folder(files);
    let error = load(&flag(folder.path()), 3).unwrap_err();
    let message = error.to_string();
    let at = folder.path().display().to_string();
    assert!(message.contains(&at), "names no path: {message}");
    assert!(message.contains("--data-dir"), "no advice: {message}");
    match error {
        DataError::Folder { fault, .. } => (fault, message),
        other @ DataError::TooFew { .. } => panic!("another error: {other}"),
    }
}

#[test]
fn good_files_give_the_first_images_in_file_order() {
    let (images, labels) = good(5);
    let folder = folder(&[(IMAGES, &images), (LABELS, &labels)]);
    let data = load(&flag(folder.path()), 3).unwrap();
    assert_eq!(data.len(), 3);
    assert_eq!(data.labels, [0, 1, 2]);
    assert_eq!(data.images, &images[16..16 + 3 * PIXELS]);
}

#[test]
fn well_formed_files_of_another_data_set_are_not_called_mnist() {
    let (images, labels) = good(5);
    let folder = folder(&[(IMAGES, &images), (LABELS, &labels)]);
    let data = load(&flag(folder.path()), 5).unwrap();
    assert_eq!(data.origin.name(), "idx-files");
    assert!(data.origin.to_string().contains("not MNIST itself"));
}

#[test]
fn unpacked_and_gz_files_give_equal_results() {
    let (images, labels) = good(5);
    let (packed_images, packed_labels) = (gzip(&images), gzip(&labels));
    let plain = folder(&[(IMAGES, &images), (LABELS, &labels)]);
    let packed = folder(&[
        (&format!("{IMAGES}.gz"), &packed_images),
        (&format!("{LABELS}.gz"), &packed_labels),
    ]);
    let plain = load(&flag(plain.path()), 4).unwrap();
    let packed = load(&flag(packed.path()), 4).unwrap();
    assert_eq!(plain.images, packed.images);
    assert_eq!(plain.labels, packed.labels);
}

#[test]
fn the_unpacked_file_wins_over_the_packed_one() {
    let (images, labels) = good(5);
    let folder = folder(&[
        (IMAGES, &images),
        (&format!("{IMAGES}.gz"), b"nonsense"),
        (LABELS, &labels),
    ]);
    assert_eq!(load(&flag(folder.path()), 5).unwrap().len(), 5);
}

#[test]
fn more_images_than_mnist_has_are_no_obstacle() {
    let count = 70_001;
    let pixels = vec![7; count as usize * PIXELS];
    let folder = folder(&[
        (IMAGES, &idx(&[0x0803, count, 28, 28], &pixels)),
        (LABELS, &idx(&[0x0801, count], &vec![1; count as usize])),
    ]);
    let data = load(&flag(folder.path()), count as usize).unwrap();
    assert_eq!(data.len(), count as usize);
    assert_eq!(data.images.len(), pixels.len());
}

#[test]
fn a_missing_folder_is_an_error_that_names_it() {
    let parent = tempfile::tempdir().unwrap();
    let error = load(&flag(&parent.path().join("nowhere")), 3).unwrap_err();
    assert!(error.to_string().contains("nowhere"), "{error}");
    assert!(matches!(
        error,
        DataError::Folder {
            named: Named::Flag,
            fault: Fault::NoFolder { .. }
        }
    ));
}

#[test]
fn a_file_in_place_of_the_folder_is_an_error() {
    let parent = folder(&[("mnist", b"")]);
    let error = load(&flag(&parent.path().join("mnist")), 3).unwrap_err();
    assert!(error.to_string().contains("not a folder"), "{error}");
}

#[test]
fn a_missing_file_is_named_with_both_its_names() {
    let (images, labels) = good(5);
    for (there, bytes, missing) in [(IMAGES, &images, LABELS), (LABELS, &labels, IMAGES)] {
        let (fault, message) = fault(&[(there, bytes)]);
        assert!(matches!(fault, Fault::NoFile { .. }), "{message}");
        assert!(message.contains(&format!("`{missing}.gz`")), "{message}");
    }
}

#[test]
fn a_folder_in_place_of_a_file_is_an_error() {
    let (_, labels) = good(5);
    let folder = folder(&[(LABELS, &labels)]);
    fs::create_dir(folder.path().join(IMAGES)).unwrap();
    let error = load(&flag(folder.path()), 3).unwrap_err();
    assert!(error.to_string().contains("not a regular file"), "{error}");
}

#[test]
fn a_gz_file_that_was_cut_short_is_an_error() {
    let (images, labels) = good(5);
    let packed = gzip(&images);
    // In the data, then in the checksum that follows them.
    for keep in [packed.len() / 2, packed.len() - 3, 5, 0] {
        let (fault, message) = fault(&[
            (&format!("{IMAGES}.gz"), &packed[..keep]),
            (LABELS, &labels),
        ]);
        assert!(
            matches!(fault, Fault::Gzip { .. } | Fault::Header { .. }),
            "{message}"
        );
    }
}

#[test]
fn a_gz_file_with_a_wrong_checksum_is_an_error() {
    let (images, labels) = good(5);
    let mut packed = gzip(&images);
    let checksum = packed.len() - 8;
    packed[checksum] ^= 1;
    let (fault, message) = fault(&[(&format!("{IMAGES}.gz"), &packed), (LABELS, &labels)]);
    assert!(matches!(fault, Fault::Gzip { .. }), "{message}");
}

#[test]
fn any_flipped_byte_in_a_file_is_an_error_or_another_image_but_never_a_panic() {
    let (images, labels) = good(3);
    let packed = gzip(&labels);
    for at in 0..packed.len() {
        let mut damaged = packed.clone();
        damaged[at] ^= 0xff;
        let folder = folder(&[(IMAGES, &images), (&format!("{LABELS}.gz"), &damaged)]);
        let _ = load(&flag(folder.path()), 3);
    }
    for at in 0..16 {
        let mut damaged = images.clone();
        damaged[at] ^= 0xff;
        let folder = folder(&[(IMAGES, &damaged), (LABELS, &labels)]);
        assert!(load(&flag(folder.path()), 3).is_err(), "byte {at}");
    }
}

#[test]
fn a_wrong_magic_number_is_an_error_that_shows_both() {
    let (_, labels) = good(5);
    let swapped = idx(&[0x0801, 5, 28, 28], &[0; 5 * PIXELS]);
    let (fault, message) = fault(&[(IMAGES, &swapped), (LABELS, &labels)]);
    assert!(matches!(fault, Fault::Magic { .. }), "{message}");
    assert!(message.contains("0x00000801"), "{message}");
    assert!(message.contains("0x00000803"), "{message}");
}

#[test]
fn images_of_another_size_are_an_error() {
    let (_, labels) = good(5);
    let small = idx(&[0x0803, 5, 14, 56], &[0; 5 * PIXELS]);
    let (fault, message) = fault(&[(IMAGES, &small), (LABELS, &labels)]);
    assert!(matches!(fault, Fault::Shape { .. }), "{message}");
    assert!(message.contains("14 by 56"), "{message}");
}

#[test]
fn a_file_that_ends_early_is_an_error_that_shows_both_lengths() {
    let (images, labels) = good(5);
    let (fault, message) = fault(&[(IMAGES, &images[..3000]), (LABELS, &labels)]);
    assert!(matches!(fault, Fault::Truncated { .. }), "{message}");
    assert!(message.contains("3000 bytes"), "{message}");
    assert!(message.contains("3936 bytes"), "{message}");
}

#[test]
fn a_file_too_short_for_its_header_is_an_error() {
    let (images, labels) = good(5);
    let (fault, message) = fault(&[(IMAGES, &images[..15]), (LABELS, &labels)]);
    assert!(matches!(fault, Fault::Header { .. }), "{message}");
}

#[test]
fn a_file_that_goes_on_after_its_end_is_an_error() {
    let (mut images, labels) = good(5);
    images.push(0);
    let (fault, message) = fault(&[(IMAGES, &images), (LABELS, &labels)]);
    assert!(matches!(fault, Fault::Trailing { .. }), "{message}");
}

#[test]
fn a_header_that_promises_billions_of_images_is_an_error() {
    let (_, labels) = good(5);
    let huge = idx(&[0x0803, u32::MAX, 28, 28], &[0; PIXELS]);
    let (fault, message) = fault(&[(IMAGES, &huge), (LABELS, &labels)]);
    assert!(matches!(fault, Fault::Truncated { .. }), "{message}");
}

#[test]
fn of_files_with_more_images_than_mnist_no_more_is_read_than_is_wanted() {
    // A hundred thousand images are promised, and ten are there: who reads on meets the end.
    let (images, labels) = good(10);
    let (images, labels) = (&images[16..], &labels[8..]);
    let images = idx(&[0x0803, 100_000, 28, 28], images);
    let labels = idx(&[0x0801, 100_000], labels);
    let (packed, packed_labels) = (gzip(&images), gzip(&labels));
    let (gz, labels_gz) = (format!("{IMAGES}.gz"), format!("{LABELS}.gz"));
    for files in [
        [(IMAGES, images.as_slice()), (LABELS, &labels)],
        [(gz.as_str(), &packed), (labels_gz.as_str(), &packed_labels)],
    ] {
        let folder = folder(&files);
        let first = |wanted| load(&flag(folder.path()), wanted);
        let data = first(10).unwrap();
        assert_eq!((data.len(), data.images.len()), (10, 10 * PIXELS));
        assert_eq!(data.images, good(10).0[16..]);
        assert!(matches!(data.origin, Origin::Other { .. }));
        assert!(matches!(
            first(11),
            Err(DataError::Folder {
                fault: Fault::Truncated { .. },
                ..
            })
        ));
        assert!(matches!(
            first(100_001),
            Err(DataError::TooFew { found: 100_000, .. })
        ));
    }
}

#[test]
fn as_many_labels_as_images_are_expected() {
    let (images, _) = good(5);
    let (_, labels) = good(4);
    let (fault, message) = fault(&[(IMAGES, &images), (LABELS, &labels)]);
    assert!(matches!(fault, Fault::Counts { .. }), "{message}");
    assert!(message.contains("5 images but 4 labels"), "{message}");
}

#[test]
fn a_label_above_nine_is_an_error_that_says_where() {
    let (images, mut labels) = good(5);
    labels[8 + 4] = 10;
    let (fault, message) = fault(&[(IMAGES, &images), (LABELS, &labels)]);
    assert!(matches!(fault, Fault::Label { .. }), "{message}");
    assert!(message.contains("label 10 to image 4"), "{message}");
}

#[test]
fn wanting_more_images_than_there_are_is_an_error_that_names_both_numbers() {
    let (images, labels) = good(5);
    let folder = folder(&[(IMAGES, &images), (LABELS, &labels)]);
    let error = load(&flag(folder.path()), 6).unwrap_err();
    assert!(matches!(
        error,
        DataError::TooFew {
            found: 5,
            wanted: 6,
            ..
        }
    ));
    assert!(error.to_string().contains("6 images are wanted"), "{error}");
}

#[test]
fn the_flag_comes_before_the_variable_and_the_variable_before_the_local_folder() {
    let set = |count| {
        let (images, labels) = good(count);
        folder(&[(IMAGES, &images), (LABELS, &labels)])
    };
    let (by_flag, by_variable, local) = (set(5), set(6), set(7));
    let mut places = Places {
        data_dir: Some(by_flag.path().to_path_buf()),
        mnist_dir: Some(by_variable.path().to_path_buf()),
        local: Some(local.path().to_path_buf()),
        ..Places::default()
    };
    let folder_of = |places: &Places| match load(places, 1).unwrap().origin {
        Origin::Other { folder } => folder,
        other => panic!("{other}"),
    };
    assert_eq!(folder_of(&places), by_flag.path());
    places.data_dir = None;
    assert_eq!(folder_of(&places), by_variable.path());
    places.mnist_dir = None;
    assert_eq!(folder_of(&places), local.path());
}

#[test]
fn a_broken_folder_that_the_user_named_is_never_passed_over() {
    let (images, labels) = good(5);
    let fine = folder(&[(IMAGES, &images), (LABELS, &labels)]);
    let broken = folder(&[(IMAGES, &images)]);
    let (fine, broken) = (fine.path().to_path_buf(), broken.path().to_path_buf());
    let flag = Places {
        data_dir: Some(broken.clone()),
        mnist_dir: Some(fine.clone()),
        ..Places::default()
    };
    let variable = Places {
        mnist_dir: Some(broken.clone()),
        local: Some(fine),
        ..Places::default()
    };
    let local = Places {
        local: Some(broken),
        ..Places::default()
    };
    for (places, expected, advice) in [
        (flag, Named::Flag, "leave out --data-dir"),
        (variable, Named::Variable, "unset MNIST_DIR"),
        (local, Named::Local, "delete the folder"),
    ] {
        let error = load(&places, 1).unwrap_err();
        assert!(error.to_string().contains(advice), "{error}");
        assert!(matches!(error, DataError::Folder { named, .. } if named == expected));
    }
}

#[test]
fn a_local_folder_without_any_of_the_files_is_passed_over() {
    let local = folder(&[("notes.txt", b"")]);
    let places = Places {
        local: Some(local.path().to_path_buf()),
        ..Places::default()
    };
    assert_eq!(load(&places, 2).unwrap().origin.name(), "drawn-digits");
}

#[test]
fn an_offline_machine_gets_drawn_digits_and_is_told_so() {
    let cache = tempfile::tempdir().unwrap();
    let places = Places {
        local: Some(cache.path().join("no-data")),
        cache: Some(cache.path().join("no-cache")),
        ..Places::default()
    };
    let data = load(&places, 25).unwrap();
    assert_eq!((data.len(), data.images.len()), (25, 25 * PIXELS));
    assert_eq!(data.origin.name(), "drawn-digits");
    let told = data.origin.to_string();
    assert!(told.contains("drawn by this program"), "{told}");
    assert!(told.contains("NEURALODE_OFFLINE"), "{told}");
}

#[test]
fn no_more_images_are_drawn_than_mnist_has() {
    let error = load(&Places::default(), usize::MAX).unwrap_err();
    assert!(matches!(error, DataError::TooFew { found: 60_000, .. }));
}

#[test]
fn a_cache_that_is_not_mnist_is_not_used() {
    let (images, labels) = good(5);
    let cache = folder(&[(IMAGES, &images), (LABELS, &labels)]);
    let places = Places {
        cache: Some(cache.path().to_path_buf()),
        ..Places::default()
    };
    assert_eq!(load(&places, 2).unwrap().origin.name(), "drawn-digits");
}

/// A server that answers every request for a file with `answer(name)`, until the test ends.
fn serve(answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    let reply = move |stream: TcpStream| -> std::io::Result<()> {
        let mut lines = BufReader::new(&stream).lines();
        let request = lines.next().transpose()?.unwrap_or_default();
        while lines
            .next()
            .transpose()?
            .is_some_and(|line| !line.is_empty())
        {}
        let name = request.split(['/', ' ']).nth(2).unwrap_or_default();
        let body = answer(name);
        let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length:";
        write!(&stream, "{head} {}\r\n\r\n", body.len())?;
        (&stream).write_all(&body)
    };
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that hangs up early is its own affair.
            let _ = reply(stream);
        }
    });
    address
}

/// Loads 2 images with an empty cache and these mirrors; gives why there was no MNIST.
fn reason(mirrors: Vec<String>, patience: Duration) -> String {
    let cache = tempfile::tempdir().unwrap();
    let places = Places {
        cache: Some(cache.path().to_path_buf()),
        mirrors,
        patience,
        ..Places::default()
    };
    let data = load(&places, 2).unwrap();
    let left = fs::read_dir(cache.path()).unwrap().count();
    assert_eq!(left, 0, "a failed download leaves files in the cache");
    match data.origin {
        Origin::Drawn { reason } => reason,
        other => panic!("{other}"),
    }
}

const MINUTE: Duration = Duration::from_mins(1);

#[test]
fn a_mirror_that_refuses_the_connection_leads_to_drawn_digits() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let mirror = format!("http://{}/", closed.local_addr().unwrap());
    drop(closed);
    let reason = reason(vec![mirror.clone()], MINUTE);
    assert!(reason.contains("the download failed"), "{reason}");
    assert!(reason.contains(&mirror), "{reason}");
}

#[test]
fn a_mirror_with_other_content_leads_to_drawn_digits() {
    let nonsense = serve(|_| b"<html>Log in first</html>".to_vec());
    let other = serve(|_| gzip(&good(5).1));
    let reason = reason(vec![nonsense, other], MINUTE);
    assert!(reason.contains("not a complete gzip file"), "{reason}");
    assert!(reason.contains("SHA-256"), "{reason}");
}

#[test]
fn a_mirror_that_never_answers_is_given_up() {
    // Connections queue up in the system, but nobody reads from them.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mirror = format!("http://{}/", silent.local_addr().unwrap());
    let start = Instant::now();
    let reason = reason(vec![mirror], Duration::from_secs(1));
    assert!(start.elapsed() < Duration::from_secs(10), "{reason}");
}

#[test]
fn drawn_digits_are_the_same_for_the_same_seed() {
    assert_eq!(digits::draw(50, 3), digits::draw(50, 3));
    let (images, labels) = digits::draw(50, 3);
    let (first_images, first_labels) = digits::draw(20, 3);
    assert_eq!(images[..20 * PIXELS], first_images);
    assert_eq!(labels[..20], first_labels);
}

#[test]
fn drawn_digits_are_the_same_on_every_machine() {
    let (images, labels) = digits::draw(200, 28);
    let digest = Sha256::new()
        .chain_update(images)
        .chain_update(labels)
        .finalize();
    let start: String = digest[..8].iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    });
    assert_eq!(start, "b33ca0eb36a84f9a");
}

#[test]
fn drawn_digits_differ_for_different_seeds() {
    let (images, labels) = digits::draw(50, 3);
    let (other_images, other_labels) = digits::draw(50, 4);
    assert_ne!(images, other_images);
    assert_ne!(labels, other_labels);
}

#[test]
fn drawn_digits_have_ink_a_dark_border_and_all_ten_classes() {
    let (images, labels) = digits::draw(1000, 5);
    for class in 0..10 {
        let count = (labels.iter().map(|&label| usize::from(label == class))).sum::<usize>();
        assert!((60..=140).contains(&count), "{count} of class {class}");
    }
    for image in images.chunks_exact(PIXELS) {
        let ink = image.iter().filter(|&&pixel| pixel > 127).count();
        assert!((12..=350).contains(&ink), "{ink} bright pixels");
    }
}

/// Test accuracy of softmax regression: plain gradient descent, one image at a time.
fn linear_accuracy(images: &[u8], labels: &[u8], train: usize) -> f64 {
    const INPUTS: usize = PIXELS + 1;
    let inputs: Vec<Vec<f32>> = images
        .chunks_exact(PIXELS)
        .map(|image| {
            image
                .iter()
                .map(|&p| f32::from(p) / 255.0)
                .chain([1.0])
                .collect()
        })
        .collect();
    let mut weights = vec![0.0_f32; 10 * INPUTS];
    let scores = |weights: &[f32], input: &[f32]| -> Vec<f32> {
        weights
            .chunks_exact(INPUTS)
            .map(|row| row.iter().zip(input).map(|(w, x)| w * x).sum())
            .collect()
    };
    for _ in 0..20 {
        for (input, &label) in inputs[..train].iter().zip(labels) {
            let scores = scores(&weights, input);
            let largest = scores.iter().copied().fold(f32::MIN, f32::max);
            let powers: Vec<f32> = scores.iter().map(|s| (s - largest).exp()).collect();
            let total: f32 = powers.iter().sum();
            for (class, row) in weights.chunks_exact_mut(INPUTS).enumerate() {
                let target = if class == usize::from(label) {
                    1.0
                } else {
                    0.0
                };
                let step = 0.01 * (powers[class] / total - target);
                row.iter_mut().zip(input).for_each(|(w, x)| *w -= step * x);
            }
        }
    }
    let tested = || inputs.iter().zip(labels).skip(train);
    let right = tested()
        .filter(|(input, &label)| {
            let scores = scores(&weights, input);
            let best = (0..10).max_by(|&a, &b| scores[a].total_cmp(&scores[b]));
            best == Some(usize::from(label))
        })
        .count();
    f64::from(u32::try_from(right).unwrap()) / f64::from(u32::try_from(tested().count()).unwrap())
}

#[test]
fn drawn_digits_can_be_learned_but_not_saturated_by_a_linear_model() {
    for seed in [1, 28] {
        let (images, labels) = digits::draw(1350 + 600, seed);
        let accuracy = linear_accuracy(&images, &labels, 1350);
        println!("seed {seed}: {accuracy:.3}");
        assert!((0.70..=0.93).contains(&accuracy), "{accuracy}");
    }
}

/// The folder of the real files, if this machine has them.
fn real() -> Option<PathBuf> {
    let folder = std::env::var_os("MNIST_DIR").map(PathBuf::from);
    if folder.is_none() {
        println!("skipped: MNIST_DIR is not set");
    }
    folder
}

#[test]
fn real_mnist_is_recognised_and_starts_with_the_known_labels() {
    let Some(folder) = real() else { return };
    let places = Places {
        mnist_dir: Some(folder),
        ..Places::default()
    };
    let data = load(&places, 60_000).unwrap();
    assert_eq!(data.origin.name(), "mnist");
    assert_eq!(data.labels[..5], [5, 0, 4, 1, 9]);
    assert_eq!(data.len(), 60_000);
    assert_eq!(data.images.len(), 60_000 * PIXELS);
}

#[test]
fn a_good_download_is_kept_and_used_again_without_network() {
    let Some(real) = real() else { return };
    let user = tempfile::tempdir().unwrap();
    let cache = user.path().join("neuralode").join("mnist");
    let broken = serve(|_| Vec::new());
    let works = serve(move |name| {
        let mut plain = Vec::new();
        match fs::read(real.join(name)) {
            Ok(packed) => return packed,
            Err(_) => fs::File::open(real.join(name.trim_end_matches(".gz")))
                .and_then(|mut file| file.read_to_end(&mut plain))
                .unwrap(),
        };
        gzip(&plain)
    });
    let mut places = Places {
        cache: Some(cache.clone()),
        mirrors: vec![broken, works],
        patience: MINUTE,
        ..Places::default()
    };
    let downloaded = load(&places, 100).unwrap();
    assert_eq!(downloaded.origin.name(), "mnist");
    assert_eq!(fs::read_dir(&cache).unwrap().count(), 2);

    // A damaged file next to the good one does not spoil the cache.
    fs::write(cache.join(LABELS), b"damaged").unwrap();
    let mirrors = std::mem::take(&mut places.mirrors);
    assert_eq!(load(&places, 100).unwrap(), downloaded);

    // A damaged cache is replaced.
    fs::write(cache.join(format!("{LABELS}.gz")), b"damaged").unwrap();
    assert_eq!(load(&places, 1).unwrap().origin.name(), "drawn-digits");
    places.mirrors.clone_from(&mirrors);
    assert_eq!(load(&places, 100).unwrap(), downloaded);

    // A cache that cannot be written costs nothing but the next download.
    places.cache = Some(cache.join(format!("{LABELS}.gz")).join("below-a-file"));
    let unkept = load(&places, 100).unwrap();
    assert_eq!(unkept.images, downloaded.images);
    assert_eq!(
        unkept.origin.to_string(),
        format!("MNIST from {}", mirrors[1])
    );
}
