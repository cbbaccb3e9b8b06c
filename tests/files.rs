//! Files of parameters: what is saved survives whatever happens to the next save, and what is loaded is all of a file or
//! none of it.

#![allow(missing_docs, reason = "a test program")]
#![allow(clippy::float_cmp, reason = "equal bits are meant")]

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use neuralode::{
    dfdx,
    files::{Action, LoadFromSafetensors as _},
    prelude::*,
};
use rand::{rngs::StdRng, Rng, SeedableRng};

neural_ode! {
    #[derive(Clone, Debug)]
    pub struct Small {
        input: [3],
        lift: Dense(3 => 4, tanh),
        ode: Ode {
            field(t, y): [Dense(4 => 5, tanh), Dense(5 => 4)],
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
        },
        head: Dense(4 => 2),
    }
}

neural_ode! {
    /// The same with another size and another stage.
    struct Other {
        input: [3],
        lift: Dense(3 => 4, tanh),
        ode: Ode {
            field(t, y): [Dense(4 => 6, tanh), Dense(6 => 4)],
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
        },
        tail: Dense(4 => 2),
    }
}

fn small(seed: u64) -> Small<f32, Cpu> {
    Small::build(&Cpu::seed_from_u64(seed))
}

/// All numbers of a model, as bits.
fn bits(model: &Small<f32, Cpu>) -> Vec<u32> {
    let tensors = [
        model.lift.weight.as_vec(),
        model.lift.bias.as_vec(),
        model.ode.field.0.weight.as_vec(),
        model.ode.field.0.bias.as_vec(),
        model.ode.field.1.weight.as_vec(),
        model.ode.field.1.bias.as_vec(),
        model.head.weight.as_vec(),
        model.head.bias.as_vec(),
    ];
    tensors.concat().into_iter().map(f32::to_bits).collect()
}

/// A folder and a file in it.
fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    (folder, path)
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Loads what must not be loaded; the model stays what it was, and the message names the file.
fn refused(path: &Path) -> (FileError, String) {
    let mut model = small(2);
    let before = bits(&model);
    let error = model.load_safetensors(path).unwrap_err();
    assert_eq!(bits(&model), before, "{error}");
    let message = error.to_string();
    assert!(message.contains(path.to_str().unwrap()), "{message}");
    (error, message)
}

#[test]
fn files_are_those_of_dfdx_byte_for_byte_both_ways() {
    let (folder, ours) = place();
    let theirs = folder.path().join("dfdx.safetensors");
    let model = small(1);
    model.save_safetensors(&ours).unwrap();
    dfdx::nn::SaveToSafetensors::save_safetensors(&model, &theirs).unwrap();
    assert_eq!(fs::read(&ours).unwrap(), fs::read(&theirs).unwrap());

    let mut loaded = small(2);
    loaded.load_safetensors(&theirs).unwrap();
    assert_eq!(bits(&loaded), bits(&model));
    let mut loaded = small(3);
    dfdx::nn::LoadFromSafetensors::load_safetensors(&mut loaded, &ours).unwrap();
    assert_eq!(bits(&loaded), bits(&model));
}

#[test]
fn parts_of_a_model_and_modules_of_dfdx_are_saved_as_well() {
    let (_folder, path) = place();
    let model = small(1);
    let saved: Result<(), FileError> = model.ode.save_safetensors(&path);
    saved.unwrap();
    let mut other = small(2);
    let loaded: Result<(), FileError> = other.ode.load_safetensors(&path);
    loaded.unwrap();
    assert_eq!(
        other.ode.field.0.weight.as_vec(),
        model.ode.field.0.weight.as_vec()
    );
    assert_ne!(other.head.weight.as_vec(), model.head.weight.as_vec());
}

/// Whoever imports both preludes gets the methods of the model, not those of dfdx's traits.
mod both_preludes {
    #[allow(unused_imports, reason = "what is tested")]
    use neuralode::{dfdx::prelude::*, prelude::*};

    #[test]
    fn both_preludes_together_give_the_safe_methods() {
        let (_folder, path) = super::place();
        let mut model = super::small(1);
        let saved: Result<(), neuralode::FileError> = model.save_safetensors(&path);
        saved.unwrap();
        let loaded: Result<(), neuralode::FileError> = model.load_safetensors(&path);
        loaded.unwrap();
    }
}

/// What a model's methods for files are made of is found wherever the model stands.
#[no_implicit_prelude]
mod bare {
    #![allow(dead_code, reason = "names of a user")]

    struct AsRef;
    struct Path;
    struct Result;
    struct FileError;
    mod files {}
    mod core {}
    mod std {}

    ::neuralode::neural_ode! {
        pub(super) struct Bare {
            input: [2],
            ode: Ode {
                field(t, y): Dense(2),
                span: 0.0..1.0,
                solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
            },
        }
    }
}

#[test]
fn a_model_among_names_of_a_user_has_files_as_well() {
    let (_folder, path) = place();
    let mut model = bare::Bare::<f64, _>::build(&Cpu::seed_from_u64(1));
    model.save_safetensors(&path).unwrap();
    model.load_safetensors(&path).unwrap();
}

/// The child of the tests below: a program that saves, over and over or once.
#[test]
fn child() {
    let Some(path) = std::env::var_os("NEURALODE_TEST_SAVES") else {
        return;
    };
    if std::env::var_os("NEURALODE_TEST_ONCE").is_some() {
        let error = small(2).save_safetensors(&path).unwrap_err();
        let FileError::Io { action, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(action, Action::Write);
        return;
    }
    // Small, so that most of the time goes into the file.
    let model = small(2);
    println!("saving");
    loop {
        model.save_safetensors(&path).unwrap();
    }
}

#[test]
fn a_program_that_is_killed_while_it_saves_leaves_a_usable_file() {
    // `NEURALODE_TEST_KILLS=500` for a long run.
    let kills = std::env::var("NEURALODE_TEST_KILLS").map_or(100, |kills| kills.parse().unwrap());
    let (folder, path) = place();
    let mut model = small(1);
    model.save_safetensors(&path).unwrap();
    let mut random = StdRng::seed_from_u64(0);
    for kill in 0..kills {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["child", "--exact", "--nocapture"])
            .env("NEURALODE_TEST_SAVES", &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("saving")));
        std::thread::sleep(Duration::from_micros(random.gen_range(0..20_000)));
        // SIGKILL, where there are signals.
        child.kill().unwrap();
        child.wait().unwrap();
        model
            .load_safetensors(&path)
            .unwrap_or_else(|error| panic!("after {kill} kills: {error}"));
    }
    for name in names(folder.path()) {
        assert!(
            name == "model.safetensors" || name.starts_with(".neuralode-"),
            "{name}"
        );
    }
}

#[test]
#[cfg(unix)]
fn a_system_that_refuses_to_write_further_leaves_the_earlier_file_and_no_other() {
    let (folder, path) = place();
    small(1).save_safetensors(&path).unwrap();
    let (before, length) = (fs::read(&path).unwrap(), fs::metadata(&path).unwrap().len());
    // Files may be `blocks` times 512 or 1024 bytes long, and a write beyond that fails.
    for blocks in 0..length.div_ceil(1024) {
        let limited = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
        let child = Command::new("sh")
            .args(["-c", &limited])
            .arg(std::env::current_exe().unwrap())
            .args(["child", "--exact", "--nocapture"])
            .env("NEURALODE_TEST_SAVES", &path)
            .env("NEURALODE_TEST_ONCE", "1")
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&child.stdout).into_owned();
        assert!(child.status.success(), "{printed}");
        assert!(printed.contains("1 passed"), "{printed}");
        assert_eq!(fs::read(&path).unwrap(), before);
        assert_eq!(names(folder.path()), ["model.safetensors"]);
    }
}

#[test]
fn a_folder_that_does_not_exist_is_an_error_that_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nowhere").join("model.safetensors");
    let error = small(1).save_safetensors(&path).unwrap_err();
    let message = error.to_string();
    assert!(
        matches!(
            error,
            FileError::Io {
                action: Action::Write,
                ..
            }
        ),
        "{message}"
    );
    assert!(message.contains("nowhere"), "{message}");
    let (error, message) = refused(&path);
    assert!(
        matches!(
            error,
            FileError::Io {
                action: Action::Read,
                ..
            }
        ),
        "{message}"
    );
}

#[test]
#[cfg(unix)]
fn links_are_followed_and_permissions_stay() {
    use std::os::unix::fs::{symlink, PermissionsExt};
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let (folder, path) = place();
    let elsewhere = tempfile::tempdir().unwrap();
    let target = elsewhere.path().join("target.safetensors");
    small(1).save_safetensors(&target).unwrap();
    // A new file has the permissions that any new file has.
    fs::write(folder.path().join("any"), "").unwrap();
    assert_eq!(mode(&target), mode(&folder.path().join("any")));

    fs::set_permissions(&target, fs::Permissions::from_mode(0o640)).unwrap();
    symlink(&target, &path).unwrap();
    let model = small(2);
    model.save_safetensors(&path).unwrap();
    assert!(fs::symlink_metadata(&path).unwrap().is_symlink());
    assert_eq!(mode(&target), 0o640);
    let mut loaded = small(3);
    loaded.load_safetensors(&target).unwrap();
    assert_eq!(bits(&loaded), bits(&model));

    // A link to nothing is no place for a file.
    fs::remove_file(&target).unwrap();
    assert!(model.save_safetensors(&path).is_err());
    assert!(fs::symlink_metadata(&path).unwrap().is_symlink());
}

#[test]
#[cfg(unix)]
fn folders_pipes_and_devices_are_no_files_and_stay_what_they_are() {
    let (folder, path) = place();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo")
        .arg(&pipe)
        .status()
        .unwrap()
        .success());
    for path in [folder.path(), &pipe, Path::new("/dev/null")] {
        let kind = fs::metadata(path).unwrap().file_type();
        let error = small(1).save_safetensors(path).unwrap_err();
        assert!(matches!(error, FileError::NotAFile { .. }), "{error}");
        let (error, message) = refused(path);
        assert!(matches!(error, FileError::NotAFile { .. }), "{message}");
        assert_eq!(fs::metadata(path).unwrap().file_type(), kind);
    }
    assert!(!path.exists());
}

#[test]
fn a_file_of_another_dtype_is_an_error_with_both_dtypes() {
    let (_folder, path) = place();
    let double = Small::<f64, _>::build(&Cpu::seed_from_u64(1));
    double.save_safetensors(&path).unwrap();
    let (error, message) = refused(&path);
    let FileError::Dtype {
        tensor,
        found,
        expected,
        ..
    } = error
    else {
        panic!("{message}");
    };
    assert_eq!(
        (tensor.as_str(), found.as_str(), expected.as_str()),
        ("head.bias", "f64", "f32")
    );
    assert!(message.contains("`to_dtype`"), "{message}");

    small(1).save_safetensors(&path).unwrap();
    let mut double = double;
    let before = double.head.weight.as_vec();
    let error = double.load_safetensors(&path).unwrap_err();
    let FileError::Dtype {
        found, expected, ..
    } = error
    else {
        panic!("{error}");
    };
    assert_eq!((found.as_str(), expected.as_str()), ("f32", "f64"));
    assert_eq!(double.head.weight.as_vec(), before);
}

#[test]
fn the_file_of_another_model_is_an_error_that_names_what_each_side_lacks() {
    let (_folder, path) = place();
    let other = Other::<f32, _>::build(&Cpu::seed_from_u64(1));
    other.save_safetensors(&path).unwrap();
    let (error, message) = refused(&path);
    let FileError::Names {
        missing, unknown, ..
    } = error
    else {
        panic!("{message}");
    };
    assert_eq!(missing, ["head.bias", "head.weight"]);
    assert_eq!(unknown, ["tail.bias", "tail.weight"]);
    assert!(message.contains("the model has `head.bias`"), "{message}");
    assert!(message.contains("the file has `tail.bias`"), "{message}");
}

#[test]
fn a_tensor_of_another_shape_is_an_error_with_both_shapes() {
    let (_folder, path) = place();
    let other = Other::<f32, _>::build(&Cpu::seed_from_u64(1));
    other.ode.save_safetensors(&path).unwrap();
    let mut model = small(2);
    let before = bits(&model);
    let error = model.ode.load_safetensors(&path).unwrap_err();
    assert_eq!(bits(&model), before);
    let message = error.to_string();
    let FileError::Shape {
        tensor,
        found,
        expected,
        ..
    } = error
    else {
        panic!("{message}");
    };
    assert_eq!(tensor, "field.0.bias");
    assert_eq!((found, expected), (vec![6], vec![5]));
    assert!(
        message.contains("[6]") && message.contains("[5]"),
        "{message}"
    );
}

/// Loads damaged bytes: an error, and the model stays; or all of them.
fn loads_all_or_nothing(path: &Path, bytes: &[u8]) -> bool {
    fs::write(path, bytes).unwrap();
    let mut model = small(2);
    let before = bits(&model);
    let loaded = model.load_safetensors(path).is_ok();
    let expected = if loaded { safetensors(bytes) } else { before };
    assert_eq!(bits(&model), expected);
    loaded
}

/// The numbers of a file, in the order of [`bits`].
fn safetensors(bytes: &[u8]) -> Vec<u32> {
    let file = ::safetensors::SafeTensors::deserialize(bytes).unwrap();
    let names = [
        "lift.weight",
        "lift.bias",
        "ode.field.0.weight",
        "ode.field.0.bias",
        "ode.field.1.weight",
        "ode.field.1.bias",
        "head.weight",
        "head.bias",
    ];
    let numbers = names.map(|name| {
        let data = file.tensor(name).unwrap().data().to_vec();
        data.chunks_exact(4)
            .map(|four| u32::from_le_bytes(four.try_into().unwrap()))
            .collect::<Vec<_>>()
    });
    numbers.concat()
}

#[test]
fn a_file_that_ends_early_or_goes_on_is_an_error_at_every_length() {
    let (_folder, path) = place();
    small(1).save_safetensors(&path).unwrap();
    let whole = fs::read(&path).unwrap();
    for length in 0..whole.len() {
        assert!(!loads_all_or_nothing(&path, &whole[..length]), "{length}");
        let (error, message) = refused(&path);
        assert!(matches!(error, FileError::Damaged { .. }), "{message}");
    }
    assert!(loads_all_or_nothing(&path, &whole));
    assert!(!loads_all_or_nothing(&path, &[&whole[..], &[0]].concat()));
}

#[test]
fn any_flipped_byte_is_an_error_or_another_number_but_never_a_part_of_a_file() {
    let (_folder, path) = place();
    small(1).save_safetensors(&path).unwrap();
    let whole = fs::read(&path).unwrap();
    let header = 8 + usize::from(u16::from_le_bytes([whole[0], whole[1]]));
    for at in 0..whole.len() {
        for mask in [0x01, 0x10, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] ^= mask;
            let loaded = loads_all_or_nothing(&path, &bytes);
            assert!(loaded || at < header, "byte {at}");
        }
    }
}

#[test]
fn files_damaged_at_random_are_errors_or_whole() {
    let (_folder, path) = place();
    small(1).save_safetensors(&path).unwrap();
    let whole = fs::read(&path).unwrap();
    let header = 8 + usize::from(u16::from_le_bytes([whole[0], whole[1]]));
    let mut random = StdRng::seed_from_u64(0);
    let mut errors = 0;
    for _ in 0..3000 {
        let mut bytes = whole.clone();
        for _ in 0..random.gen_range(1..4) {
            let end = if random.gen() { header } else { bytes.len() };
            let at = random.gen_range(0..end);
            match random.gen_range(0..5) {
                0 => bytes[at] = random.gen(),
                1 => {
                    bytes.remove(at);
                }
                2 => bytes.insert(at, random.gen()),
                // Another digit of a shape or an offset.
                3 if bytes[at].is_ascii_digit() => bytes[at] = random.gen_range(b'0'..=b'9'),
                _ => {
                    let to = random.gen_range(at..bytes.len());
                    let last = bytes.len() - (to - at);
                    bytes.copy_within(at..to, last.min(at + 1));
                }
            }
            if bytes.len() <= header {
                break;
            }
        }
        errors += usize::from(!loads_all_or_nothing(&path, &bytes));
    }
    assert!((1000..3000).contains(&errors), "{errors}");
}

#[test]
fn of_a_file_that_does_not_fit_no_more_than_the_header_is_read() {
    let (_folder, path) = place();
    small(1).save_safetensors(&path).unwrap();
    // A terabyte of zeros that takes no room on the disk, and no memory here.
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(1 << 40).unwrap();
    let (error, message) = refused(&path);
    assert!(matches!(error, FileError::Damaged { .. }), "{message}");
    assert!(message.contains("1099511627776 bytes"), "{message}");
}

#[test]
fn optimizers_and_gradients_go_on_after_a_load() {
    let (_folder, path) = place();
    let dev = Cpu::seed_from_u64(1);
    let mut model = small(1);
    model.save_safetensors(&path).unwrap();
    let best = model.clone();
    let x: Tensor<Rank2<5, 3>, f32, _> = dev.sample_normal();
    let gradients = model.alloc_grads();
    let (y, _) = model.try_forward_traced(x, gradients).unwrap();
    let (gradients, _) = try_backward(y.square().sum()).unwrap();
    let mut optimizer = Sgd::new(&model, SgdConfig::default());
    optimizer.update(&mut model, &gradients).unwrap();
    let changed = bits(&model);

    model.load_safetensors(&path).unwrap();
    // The copy that was made before is its own.
    assert_eq!(bits(&model), bits(&best));
    optimizer.update(&mut model, &gradients).unwrap();
    assert_eq!(bits(&model), changed);
    assert_ne!(bits(&model), bits(&best));
}

#[test]
fn a_transposed_weight_is_loaded_in_its_own_order() {
    let (_folder, path) = place();
    let saved = small(1);
    saved.save_safetensors(&path).unwrap();
    let mut model = small(2);
    let transposed: Tensor<Rank2<3, 4>, f32, _> = Cpu::default().sample_normal();
    model.lift.weight = transposed.permute();
    model.load_safetensors(&path).unwrap();
    assert_eq!(bits(&model), bits(&saved));

    // Nor does a weight that is one number in memory.
    model.head.bias = Cpu::default().tensor(1.0).broadcast();
    model.load_safetensors(&path).unwrap();
    assert_eq!(bits(&model), bits(&saved));
}

/// A module with a number that is no tensor.
struct Counted<E: Dtype, D: Device<E>> {
    weight: Tensor<Rank1<2>, E, D>,
    count: u8,
}

impl<E: Dtype, D: Device<E>> TensorCollection<E, D> for Counted<E, D> {
    type To<E2: Dtype, D2: Device<E2>> = Counted<E2, D2>;

    fn iter_tensors<V: ModuleVisitor<Self, E, D>>(
        visitor: &mut V,
    ) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
        visitor.visit_fields(
            (
                Self::tensor(
                    "weight",
                    |s| &s.weight,
                    |s| &mut s.weight,
                    TensorOptions::reset_to_zeros(),
                ),
                Self::scalar(
                    "count",
                    |s| &s.count,
                    |s| &mut s.count,
                    ScalarOptions::from_default(7),
                ),
            ),
            |(weight, count)| Counted { weight, count },
        )
    }
}

/// Two tensors under one name.
struct Twins<E: Dtype, D: Device<E>>([Tensor<Rank1<2>, E, D>; 2]);

impl<E: Dtype, D: Device<E>> TensorCollection<E, D> for Twins<E, D> {
    type To<E2: Dtype, D2: Device<E2>> = Twins<E2, D2>;

    fn iter_tensors<V: ModuleVisitor<Self, E, D>>(
        visitor: &mut V,
    ) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
        let options = TensorOptions::reset_to_zeros;
        visitor.visit_fields(
            (
                Self::tensor("w", |s| &s.0[0], |s| &mut s.0[0], options()),
                Self::tensor("w", |s| &s.0[1], |s| &mut s.0[1], options()),
            ),
            |(a, b)| Twins([a, b]),
        )
    }
}

#[test]
fn numbers_that_are_no_tensors_are_saved_and_checked_as_well() {
    let (_folder, path) = place();
    let dev = Cpu::seed_from_u64(1);
    let counted = |count| Counted::<f32, Cpu> {
        weight: dev.sample_normal(),
        count,
    };
    let saved = counted(3);
    saved.save_safetensors(&path).unwrap();
    let mut loaded = counted(4);
    loaded.load_safetensors(&path).unwrap();
    assert_eq!(loaded.count, 3);
    assert_eq!(loaded.weight.array(), saved.weight.array());

    let write = |count: Option<f64>| {
        let weight: Vec<u8> = [1.0_f32, 2.0]
            .iter()
            .flat_map(|x| x.to_le_bytes())
            .collect();
        let count = count.map(f64::to_le_bytes);
        let view = |kind, shape, data| ::safetensors::tensor::TensorView::new(kind, shape, data);
        let mut tensors = vec![(
            "weight",
            view(::safetensors::Dtype::F32, vec![2], weight.as_slice()).unwrap(),
        )];
        if let Some(count) = &count {
            tensors.push((
                "count",
                view(::safetensors::Dtype::F64, vec![], count.as_slice()).unwrap(),
            ));
        }
        let bytes = ::safetensors::serialize(tensors, &None).unwrap();
        fs::write(&path, bytes).unwrap();
    };
    // One that the file lacks is the default, as in dfdx.
    write(None);
    loaded.load_safetensors(&path).unwrap();
    assert_eq!((loaded.count, loaded.weight.array()), (7, [1.0, 2.0]));
    // dfdx panics.
    let before = saved.weight.array();
    let mut loaded = saved;
    for wrong in [-1.0, 256.0, f64::NAN] {
        write(Some(wrong));
        let error = loaded.load_safetensors(&path).unwrap_err();
        assert!(matches!(error, FileError::Scalar { .. }), "{error}");
        assert!(error.to_string().contains("`count`"), "{error}");
        assert_eq!((loaded.count, loaded.weight.array()), (3, before));
    }
}

#[test]
fn two_tensors_of_one_name_are_an_error_and_no_file() {
    let (folder, path) = place();
    let dev = Cpu::default();
    let twins = Twins::<f32, Cpu>([dev.zeros(), dev.ones()]);
    let error = twins.save_safetensors(&path).unwrap_err();
    assert!(
        matches!(&error, FileError::SameName { tensor, .. } if tensor == "w"),
        "{error}"
    );
    assert!(names(folder.path()).is_empty());
}
