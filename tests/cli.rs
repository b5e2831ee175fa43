//! The built program against the contract: commands, exit codes, files, columns, bytes.
//!
//! Recordings are made by the program itself, once, and shared; every test writes into a folder of its own.
#![cfg(feature = "cli")]

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use tempfile::TempDir;

/// The identity columns, then each table's own: the contract, word for word.
const IDENTITY: &str = "recording,subject,session,task,run,condition";
const CONTRACT: &[(&str, &str)] = &[
    ("trials", "trial,onset_s,sample,residual_us,kept,reason,worst_channel,max_ptp_uv"),
    (
        "channels",
        "channel,kind,unit,status,reason,noise_uv,rejected_trials,gap_step_uv,decay_15ms_uv,decay_30ms_uv,line_uv",
    ),
    ("tep", "n_trials,time_ms,filled"),
    ("field", "roi,n_trials,time_ms,filled,mean_uv,field_uv"),
    (
        "peaks",
        "kind,roi,component,polarity,window_start_ms,window_end_ms,found,latency_ms,amplitude_uv,nominal_ms,\
         value_at_nominal_uv,mean_uv,area_uv_ms,rectified_area_uv_ms,n_candidates,prominence_uv,sd_baseline_uv,z_baseline,\
         p_signflip,odd_latency_ms,odd_uv,even_latency_ms,even_uv,at_edge,gap_distance_ms,n_trials",
    ),
    ("pairs", "kind,roi,pair,peak_to_peak_uv,latency_difference_ms,found"),
    ("areas", "roi,measure,start_ms,end_ms,area_uv_ms,mean_uv,baseline_mean_uv,n_trials"),
    ("trial_values", "trial,roi,component,mean_uv,area_uv_ms,peak_to_peak_uv"),
    (
        "quality",
        "n_events,n_kept,n_bad_channels,interval_median_s,interval_min_s,snr_db,plus_minus_noise_uv,residual_decay_uv,\
         line_hz,line_uv,saturated_fraction,warnings",
    ),
    ("spectrum", "channel,frequency_hz,psd_uv2_per_hz"),
    ("power", "channel,band,low_hz,high_hz,power_uv2,relative,power_db,n_windows"),
    ("aperiodic", "channel,low_hz,high_hz,offset,exponent,knee,r_squared,n_peaks"),
    ("rhythm", "channel,peak_hz,center_of_gravity_hz,peak_power_db,found"),
    ("index", "index,channels,reference,value,caveat"),
    ("tfr", "channel,frequency_hz,time_ms,change_db,itpc,itpc_debiased,affected,n_trials"),
    ("connectivity", "measure,band,low_hz,high_hz,channel_a,channel_b,value,n_epochs,null_expectation,z,p,reference"),
    ("graph", "measure,band,threshold,node,metric,value"),
    (
        "tacs",
        "segment,start_s,end_s,channel,method,frequency_hz,offset_ppm,artefact_uv,attenuation_db,residual_db,\
         sideband_db,impropriety_db,clipped_fraction,detection_floor_uv,verdict,reason",
    ),
    (
        "waveform",
        "segment,start_s,end_s,channel,unit,frequency_hz,frequency_sd_hz,offset_ppm,amplitude,rms,crest_factor,dc,thd,\
         thd_n,phase_deg,phase_jitter_deg,ramp_up_s,plateau_s,ramp_down_s,ripple,clipped_fraction,verdict,reason",
    ),
];
/// Tables that the recipe `tep` writes, and those of them that are series (per recording only).
const TEP_TABLES: [&str; 9] =
    ["trials", "channels", "tep", "field", "peaks", "pairs", "areas", "trial_values", "quality"];
const SERIES: [&str; 3] = ["tep", "field", "trial_values"];

/// What a run left behind.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

/// Runs the program in `folder`. It must end by itself, and never by a panic.
fn stimkit_in(folder: &Path, args: &[&str]) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_stimkit"))
        .args(args)
        .current_dir(folder)
        .env_remove("SLURM_CPUS_PER_TASK")
        .output()
        .expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    let ran = Ran { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) };
    assert!(!ran.err.contains("panicked"), "{args:?}: {}", ran.err);
    ran
}

impl Ran {
    #[track_caller]
    fn code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.out.get(..400).unwrap_or(&self.out), self.err);
        self
    }

    /// Failed: nothing on stdout, and stderr says all of `words`.
    #[track_caller]
    fn says(self, words: &[&str]) -> Self {
        assert_eq!(self.out, "", "data on stdout beside an error");
        for word in words {
            assert!(self.err.contains(word), "`{word}` is not in: {}", self.err);
        }
        self
    }
}

/// Recordings for all tests, made once.
fn lab() -> &'static Path {
    static LAB: OnceLock<TempDir> = OnceLock::new();
    LAB.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        let simulate = "simulate tms --channels 12 --rate 1000 --seconds 16 --set interval_s=1.2 --set jitter_s=0.1";
        let mut args: Vec<&str> = simulate.split(' ').collect();
        args.extend(["-o", "plain.vhdr"]);
        stimkit_in(at, &args).code(0);
        copy(at, "plain", "other", |vhdr| vhdr, |vmrk| vmrk);
        // two kinds of markers, none of them at the pulses
        copy(
            at,
            "plain",
            "two",
            |vhdr| vhdr,
            |vmrk| markers(&vmrk, |i, at| (["S  1", "S  2"][i % 2].to_owned(), at + 300)),
        );
        copy(at, "plain", "formula", |vhdr| vhdr.replace("=C3,", "==C3,"), |vmrk| vmrk.replace("TMS", "@TMS"));
        copy(at, "plain", "sub-07_ses-pre_task-tms_run-02_eeg", |vhdr| vhdr, |vmrk| vmrk);
        std::fs::write(at.join("broken.vhdr"), "BrainVision Data Exchange Header File Version 1.0\n[Common Infos]\n")
            .unwrap();
        std::fs::write(at.join("noise.edf"), vec![7_u8; 5000]).unwrap();
        folder
    })
    .path()
}

/// A BrainVision recording under another name, its header and markers edited.
fn copy(at: &Path, from: &str, to: &str, header: impl Fn(String) -> String, marks: impl Fn(String) -> String) {
    let read = |extension: &str| std::fs::read_to_string(at.join(format!("{from}.{extension}"))).unwrap();
    let file = |extension: &str| at.join(format!("{to}.{extension}"));
    std::fs::create_dir_all(file("eeg").parent().unwrap()).unwrap();
    std::fs::copy(at.join(format!("{from}.eeg")), file("eeg")).unwrap();
    let stem = file("eeg").file_stem().unwrap().to_string_lossy().into_owned();
    let renamed = |text: String| text.replace(&format!("{from}."), &format!("{stem}."));
    std::fs::write(file("vhdr"), header(renamed(read("vhdr")))).unwrap();
    std::fs::write(file("vmrk"), marks(renamed(read("vmrk")))).unwrap();
}

/// New names and places for the stimulus markers.
fn markers(vmrk: &str, edit: impl Fn(usize, i64) -> (String, i64)) -> String {
    let mut i = 0;
    let mut edited = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        let at: Option<i64> = fields.get(2).and_then(|f| f.parse().ok());
        match at.filter(|_| line.contains("=Stimulus,")) {
            Some(at) => {
                let (name, at) = edit(i, at);
                i += 1;
                format!("{},{name},{at},{}\n", fields[0], fields[3..].join(","))
            }
            None => format!("{line}\n"),
        }
    };
    vmrk.lines().map(&mut edited).collect()
}

/// Runs the program where the recordings are.
fn stimkit(args: &[&str]) -> Ran {
    stimkit_in(lab(), args)
}

/// `tep ARGS -o` into a fresh folder, expecting `code`.
#[track_caller]
fn run_into(args: &[&str], code: i32) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let mut all = args.to_vec();
    let path = out.to_string_lossy().into_owned();
    all.extend(["-o", &path]);
    stimkit(&all).code(code);
    (folder, out)
}

/// All files below a folder, by relative name.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in std::fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_string_lossy().replace('\\', "/");
                found.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// The tables below a folder.
fn tables(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    files(folder).into_iter().filter(|(name, _)| name.ends_with(".csv")).collect()
}

#[track_caller]
fn same_tables(a: &Path, b: &Path) {
    let (a, b) = (tables(a), tables(b));
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    for (name, bytes) in &a {
        assert!(*bytes == b[name], "{name} differs");
    }
}

fn json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Rows of a CSV text, each by column name.
fn rows(text: &str) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().unwrap().clone();
    let row = |r: csv::StringRecord| header.iter().map(str::to_owned).zip(r.iter().map(str::to_owned)).collect();
    reader.records().map(|r| row(r.unwrap())).collect()
}

fn rows_of(path: &Path) -> Vec<BTreeMap<String, String>> {
    rows(&std::fs::read_to_string(path).unwrap())
}

fn column(rows: &[BTreeMap<String, String>], name: &str) -> Vec<String> {
    rows.iter().map(|r| r[name].clone()).collect()
}

/// `stimkit tep ARGS --table NAME` as rows.
#[track_caller]
fn table(name: &str, args: &[&str]) -> Vec<BTreeMap<String, String>> {
    rows(&stimkit(&[&["tep", "--table", name], args].concat()).code(0).out)
}

#[test]
fn exit_codes_follow_sysexits() {
    let (folder, out) = run_into(&["tep", "plain.vhdr"], 0);
    run_into(&["tep", "plain.vhdr", "missing.vhdr"], 1);
    run_into(&["tep", "broken.vhdr"], 65);
    run_into(&["tep", "noise.edf"], 65);
    run_into(&["tep", "missing.vhdr"], 66);
    stimkit(&["tep", "plain.vhdr"]).code(64).says(&["-o DIR", "--table"]);
    stimkit(&["tep"]).code(64).says(&["FILE"]);
    stimkit(&[]).code(64);
    stimkit(&["--help"]).code(0);
    stimkit(&["tep", "plain.vhdr", "--jobs", "0", "--table", "trials"]).code(64).says(&["--jobs 0"]);
    stimkit(&["run", "missing.toml", "plain.vhdr", "--table", "trials"]).code(64).says(&["missing.toml"]);
    // a file stands where the folder should be
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let below = file.join("out");
    for target in [&file, &below] {
        stimkit(&["tep", "plain.vhdr", "-o", &target.to_string_lossy()]).code(73).says(&["file"]);
    }
    for command in [&["info", "missing.vhdr"], &["events", "missing.vhdr"]] {
        assert_eq!(stimkit(command).code, 66, "{command:?}");
    }
    assert_eq!(stimkit(&["info", "missing.vhdr", "plain.vhdr"]).code, 1);
    assert_eq!(json(&out.join("run.json"))["exit_code"], 0);
}

#[test]
fn a_full_disk_is_74() {
    let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") else {
        eprintln!("SKIPPED: there is no /dev/full here, the full disk was not tested");
        return;
    };
    for args in [&["tep", "plain.vhdr", "--table", "tep"][..], &["events", "plain.vhdr"], &["columns"], &["man"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_stimkit"))
            .args(args)
            .current_dir(lab())
            .stdout(full.try_clone().unwrap())
            .output()
            .unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(74), "{args:?}: {err}");
        assert!(err.contains("stdout"), "{err}");
    }
}

#[test]
fn unknown_names_come_with_the_nearest() {
    for (args, near) in [
        (&["tep", "plain.vhdr", "--tabel", "tep"][..], "--table"),
        (&["tepp", "plain.vhdr"], "tep"),
        (&["tep", "plain.vhdr", "--table", "peeks"], "peaks"),
        (&["columns", "triels"], "trials"),
        (&["recipe", "tep1hz"], "tep-1hz"),
        (&["run", "tms-life", "plain.vhdr", "--table", "tep"], "tms-live"),
        (&["tep", "plain.vhdr", "--table", "tep", "--set", "stream.butterwort.order=3"], "butterworth"),
        (&["tep", "plain.vhdr", "--table", "tep", "--set", "stream.butterworth.ordre=3"], "order"),
        (&["tep", "plain.vhdr", "--table", "tep", "--set", "inputt.line=50"], "input"),
        (&["tep", "plain.vhdr", "--table", "tep", "--site", "m2"], "m1"),
    ] {
        stimkit(args).code(64).says(&[near]);
    }
    stimkit(&["tep", "plain.vhdr", "--table", "tep", "--channels", "C33"]).code(65).says(&["C33", "C3"]);
    stimkit(&["tep", "plain.vhdr", "--table", "tep", "--bad", "C33"]).code(65).says(&["C33"]);
}

#[test]
fn stdout_carries_data_only() {
    let ran = stimkit(&["tep", "plain.vhdr", "--table", "peaks", "-v"]).code(0);
    assert!(ran.out.starts_with(IDENTITY) && ran.err.contains("plain"), "{}", ran.err);
    let quiet = stimkit(&["tep", "plain.vhdr", "--table", "peaks", "-q"]).code(0);
    assert_eq!((quiet.out, quiet.err.as_str()), (ran.out, ""));
    // no folder is written, and a folder and a table at once are refused
    stimkit(&["tep", "plain.vhdr", "--table", "peaks", "-o", "never"]).code(64);
    assert!(!lab().join("never").exists());
    let (_folder, out) = run_into(&["tep", "plain.vhdr"], 0);
    for name in TEP_TABLES {
        let printed = stimkit(&["tep", "plain.vhdr", "--table", name]).code(0).out;
        let written = std::fs::read_to_string(out.join(format!("plain/{name}.csv"))).unwrap();
        assert!(printed == written, "{name}: on stdout and in the folder");
    }
}

#[test]
fn a_folder_holds_what_the_contract_names() {
    let (_folder, out) = run_into(&["tep", "plain.vhdr", "other.vhdr", "--site", "m1"], 0);
    let found = files(&out);
    let mut expected = vec!["run.json".to_owned(), "failures.csv".to_owned()];
    for name in TEP_TABLES {
        expected.extend(["plain", "other"].map(|r| format!("{r}/{name}.csv")));
        if !SERIES.contains(&name) {
            expected.push(format!("{name}.csv"));
        }
    }
    expected.extend(["plain", "other"].iter().flat_map(|r| ["columns", "recording"].map(|f| format!("{r}/{f}.json"))));
    expected.sort();
    assert_eq!(found.keys().cloned().collect::<Vec<_>>(), expected, "no more, no less, no temporary file");
    assert_eq!(found["failures.csv"], b"recording,path,stage,kind,message\n");

    let columns = json(&out.join("plain/columns.json"));
    let record = json(&out.join("plain/recording.json"));
    let run = json(&out.join("run.json"));
    for name in TEP_TABLES {
        let header = String::from_utf8_lossy(&found[&format!("plain/{name}.csv")]).lines().next().unwrap().to_owned();
        let told: Vec<&str> =
            columns[name]["columns"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
        assert_eq!(header, told.join(","), "columns.json on {name}");
        assert_eq!(record["files_xxh3_128"][format!("{name}.csv")].as_str().map(str::len), Some(32));
        // a summary is the recordings' rows in input order
        if !SERIES.contains(&name) {
            let parts =
                ["plain", "other"].map(|r| String::from_utf8_lossy(&found[&format!("{r}/{name}.csv")]).into_owned());
            let joined = format!("{}{}", parts[0], parts[1].split_once('\n').unwrap().1);
            assert!(joined.as_bytes() == found[&format!("{name}.csv")], "summary of {name}");
        }
    }
    assert!(run["stimkit"].is_string() && run["cpu_features"].is_array() && run["command"].is_array());
    assert!(run["recipe"].as_str().unwrap().contains("[[marker]]"));
    let bytes: u64 =
        ["vhdr", "vmrk", "eeg"].map(|e| lab().join(format!("plain.{e}")).metadata().unwrap().len()).iter().sum();
    for (recording, name) in run["recordings"].as_array().unwrap().iter().zip(["plain", "other"]) {
        assert_eq!((&recording["recording"], &recording["outcome"]), (&name.into(), &"done".into()));
        assert_eq!(recording["xxh3_128"].as_str().map(str::len), Some(32));
        assert!(recording["seconds"].is_object() && recording["warnings"].is_array());
    }
    assert_eq!(run["recordings"][0]["bytes"], bytes, "all files of the recording");
}

#[test]
fn columns_stand_in_the_contract_s_order() {
    let listed = stimkit(&["columns"]).code(0).out;
    let known: Vec<&str> = listed.lines().filter_map(|l| l.split_whitespace().next()).collect();
    for name in TEP_TABLES {
        assert!(known.contains(&name), "{name} is not listed");
    }
    let (_folder, out) = run_into(&["tep", "plain.vhdr", "--site", "m1"], 0);
    for (name, columns) in CONTRACT.iter().filter(|(name, _)| known.contains(name)) {
        let expected = format!("{IDENTITY},{columns}");
        let told = stimkit(&["columns", name]).code(0).out;
        let told: Vec<&str> = told.lines().skip(1).filter_map(|l| l.split_whitespace().next()).collect();
        assert!(told.join(",").starts_with(&expected), "columns {name}: {}", told.join(","));
        if TEP_TABLES.contains(name) {
            let text = std::fs::read_to_string(out.join(format!("plain/{name}.csv"))).unwrap();
            let header = text.lines().next().unwrap();
            // new columns may stand to the right
            assert!(header == expected || header.starts_with(&format!("{expected},")), "{name}: {header}");
        }
    }
    // wide: then one column per channel, named as in the file; long: the contract's own order
    let channels = column(&table("channels", &["plain.vhdr"]), "channel");
    let wide = stimkit(&["tep", "plain.vhdr", "--table", "tep"]).code(0).out;
    assert_eq!(wide.lines().next().unwrap(), format!("{IDENTITY},n_trials,time_ms,filled,{}", channels.join(",")));
    let long = stimkit(&["tep", "plain.vhdr", "--table", "tep", "--long"]).code(0).out;
    assert_eq!(long.lines().next().unwrap(), format!("{IDENTITY},n_trials,channel,time_ms,filled,value_uv"));
    assert_eq!(long.lines().count() - 1, 12 * (wide.lines().count() - 1));
    assert_eq!(wide.lines().count() - 1, 2001, "both ends of -1000…1000 ms at 1 kHz");
}

#[test]
fn numbers_are_short_dotted_or_missing() {
    let (_folder, out) = run_into(&["tep", "plain.vhdr", "--set", "cut.window_ms=[-2900, 1000]", "--site", "m1"], 0);
    for (name, bytes) in tables(&out) {
        let text = String::from_utf8(bytes).expect("UTF-8");
        assert!(!text.contains('\r') && text.ends_with('\n'), "{name}: line ends");
        for row in rows(&text) {
            for (column, cell) in row.iter().filter(|(column, _)| column.contains("_uv") || column.contains("_ms")) {
                if let Ok(value) = cell.parse::<f64>() {
                    let shortest = [format!("{value}"), format!("{value:e}")];
                    assert!(value.is_finite() && shortest.contains(cell), "{name}.{column}: {cell}");
                } else {
                    assert_eq!(cell, "", "{name}.{column}");
                }
            }
        }
    }
    let trials = rows_of(&out.join("plain/trials.csv"));
    let last = trials.last().unwrap();
    assert_eq!([&last["kept"], &last["reason"], &last["max_ptp_uv"]], ["1", "", &last["max_ptp_uv"]]);
    let numbered: Vec<String> = (0..trials.len()).map(|i| i.to_string()).collect();
    assert_eq!(column(&trials, "trial"), numbered);
}

#[test]
fn the_printed_recipe_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    for (i, flags) in [
        &[][..],
        &["--recipe", "tep-1hz", "--line", "50"],
        &[
            "--event",
            "T*",
            "--site",
            "m1",
            "--long",
            "--bad",
            "C3",
            "--exclude",
            "O*",
            "--set",
            "cut.window_ms=[-1000,1200]",
        ],
        &["--detect", "--threshold", "800", "--min-channels", "0.5", "--channels", "C*,F*"],
    ]
    .iter()
    .enumerate()
    {
        // no file is needed to print a recipe
        let text = stimkit(&[&["tep", "--print-recipe"], *flags].concat()).code(0).out;
        let recipe = folder.path().join(format!("{i}.toml"));
        std::fs::write(&recipe, &text).unwrap();
        let (_a, direct) = run_into(&[&["tep", "plain.vhdr"], *flags].concat(), 0);
        let (_b, through) = run_into(&["run", &recipe.to_string_lossy(), "plain.vhdr"], 0);
        same_tables(&direct, &through);
        // and what run.json says is that recipe
        assert_eq!(json(&direct.join("run.json"))["recipe"], text, "{flags:?}");
    }
}

#[test]
fn recipes_are_patched_by_index_and_by_name() {
    let printed = |patches: &[&str]| {
        let args: Vec<&str> = patches.iter().flat_map(|p| ["--set", p]).collect();
        stimkit(&[&["tep", "--print-recipe"], args.as_slice()].concat()).code(0).out
    };
    let by_index =
        printed(&["stream[2].order=4", "cut.window_ms=[-500, 500]", "epoch[0].fit_ms=[[-500,-10],[300,500]]"]);
    let by_name = printed(&[
        "stream.butterworth.order=4",
        "cut.window_ms=[-500, 500]",
        "epoch.detrend.fit_ms=[[-500,-10],[300,500]]",
    ]);
    assert_eq!(by_index, by_name);
    assert!(by_index.contains("\norder = 4\n") && !printed(&[]).contains("\norder = 4\n"));
    // text needs no quotes
    assert!(printed(&["stream[2].phase=causal"]).contains("phase = \"causal\""));
    for (patch, says) in
        [("stream[9].order=4", "3 parts"), ("order", "path=value"), ("stream[x].order=1", "name[number]")]
    {
        stimkit(&["tep", "--print-recipe", "--set", patch]).code(64).says(&[says]);
    }
}

#[test]
fn one_bad_file_never_stops_the_rest() {
    let inputs = ["broken.vhdr", "plain.vhdr", "missing.vhdr", "other.vhdr"];
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let ran = stimkit(&[&["tep"], &inputs[..], &["-o", &out.to_string_lossy()]].concat()).code(1);
    let failures = rows_of(&out.join("failures.csv"));
    assert_eq!(column(&failures, "recording"), ["broken", "missing"]);
    assert_eq!(column(&failures, "kind"), ["format", "input"]);
    assert_eq!(column(&failures, "stage"), ["read", "read"]);
    let run = json(&out.join("run.json"));
    assert_eq!(run["exit_code"], 1);
    let recordings = run["recordings"].as_array().unwrap();
    for (recording, input) in recordings.iter().zip(inputs) {
        let failed = failures.iter().find(|f| f["path"] == input);
        assert_eq!(recording["path"], input);
        assert_eq!(recording["outcome"] == "failed", failed.is_some());
        if let Some(failed) = failed {
            // run.json, failures.csv and stderr tell the same story
            assert_eq!(
                [&recording["kind"], &recording["message"]],
                [failed["kind"].as_str(), failed["message"].as_str()]
            );
            assert!(ran.err.contains(&failed["message"]), "{}", ran.err);
            assert!(!out.join(&failed["recording"]).exists(), "a folder of a recording that failed");
        }
    }
    assert_eq!(column(&rows_of(&out.join("quality.csv")), "recording"), ["plain", "other"], "input order");
    assert!(ran.err.contains("2 failed"), "{}", ran.err);
    assert_eq!(ran.out, "");
}

#[test]
fn a_run_that_fails_alone_leaves_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out").to_string_lossy().into_owned();
    stimkit(&["tep", "missing.vhdr", "-o", &out]).code(66).says(&["missing.vhdr"]);
    assert_eq!(files(Path::new(&out)).into_keys().collect::<Vec<_>>(), ["failures.csv", "run.json"]);
    assert_eq!(json(&Path::new(&out).join("run.json"))["exit_code"], 66);
    // there is no result that a second attempt could overwrite
    stimkit(&["tep", "plain.vhdr", "-o", &out]).code(0);
}

#[test]
fn recordings_that_share_a_stem_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    for place in ["a/x", "b/x", "a_x"] {
        let stem = Path::new(place).file_name().unwrap().to_string_lossy().into_owned();
        let target = folder.path().join(place);
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        for extension in ["vhdr", "vmrk", "eeg"] {
            let text = std::fs::read(lab().join(format!("plain.{extension}"))).unwrap();
            let text = match extension {
                "eeg" => text,
                _ => String::from_utf8(text).unwrap().replace("plain.", &format!("{stem}.")).into_bytes(),
            };
            std::fs::write(target.with_extension(extension), text).unwrap();
        }
    }
    stimkit_in(folder.path(), &["tep", "b/x.vhdr", "a/x.vhdr", "a_x.vhdr", "-o", "out"]).code(0);
    let out = folder.path().join("out");
    assert_eq!(column(&rows_of(&out.join("quality.csv")), "recording"), ["b_x", "a_x", "a_x_2"]);
    for name in ["b_x", "a_x", "a_x_2"] {
        assert!(out.join(name).join("recording.json").exists(), "{name}");
    }
}

#[test]
fn jobs_do_not_matter() {
    let inputs = ["tep", "plain.vhdr", "other.vhdr", "formula.vhdr"];
    let (_a, one) = run_into(&[&inputs[..], &["--jobs", "1"]].concat(), 0);
    let (_b, two) = run_into(&[&inputs[..], &["--jobs", "2"]].concat(), 0);
    same_tables(&one, &two);
    let (_c, shared) = run_into(&["tep", "plain.vhdr", "--jobs", "2"], 0);
    same_tables(&one.join("plain"), &shared.join("plain"));
}

#[test]
fn results_are_not_overwritten_unasked() {
    let (_folder, out) = run_into(&["tep", "plain.vhdr", "--site", "m1"], 0);
    let path = out.to_string_lossy().into_owned();
    let before = files(&out);
    stimkit(&["tep", "plain.vhdr", "-o", &path]).code(73).says(&["--force"]);
    assert!(before == files(&out), "a refused run changed something");
    // with --force nothing of the earlier run stays beside the new one
    stimkit(&["run", "tms-live", "plain.vhdr", "-o", &path, "--force"]).code(0);
    let (_fresh, other) = run_into(&["run", "tms-live", "plain.vhdr"], 0);
    same_tables(&out, &other);
    // a run that has nothing to show takes nothing away, and gives nothing free
    let before = files(&out);
    stimkit(&["tep", "plain.vhdr", "--event", "none", "-o", &path, "--force"]).code(65);
    stimkit(&["tep", "plain.vhdr", "--set", "epoch.reject.max_ptp_uv=-1", "-o", &path, "--force"]).code(64);
    assert!(before == files(&out), "a failed run changed something");
    std::fs::remove_file(out.join("run.json")).unwrap();
    stimkit(&["tep", "plain.vhdr", "-o", &path]).code(73).says(&["recording.json", "--force"]);
    // what an interrupted run has left is in nobody's way
    std::fs::remove_file(out.join("plain/recording.json")).unwrap();
    stimkit(&["tep", "plain.vhdr", "-o", &path]).code(0);
    // somebody else's files are not stimkit's to take away
    for name in ["power.csv", "failures.csv", "plain/tep.csv", "plain/cleaned.eeg"] {
        let folder = TempDir::new().unwrap();
        let theirs = folder.path().join("out").join(name);
        std::fs::create_dir_all(theirs.parent().unwrap()).unwrap();
        std::fs::write(&theirs, "mine").unwrap();
        let out = folder.path().join("out").to_string_lossy().into_owned();
        stimkit(&["tep", "plain.vhdr", "-o", &out]).code(73).says(&[name, "--force"]);
        assert_eq!(std::fs::read(&theirs).unwrap(), b"mine");
        stimkit(&["tep", "plain.vhdr", "-o", &out, "--force"]).code(0);
    }
    // simulate and convert keep to it too
    stimkit(&["convert", "plain.vhdr", "-o", "other.vhdr"]).code(73).says(&["--force"]);
    stimkit(&["simulate", "tms", "-o", "other.vhdr"]).code(73).says(&["--force"]);
    stimkit(&["convert", "plain.vhdr", "-o", "plain.vhdr", "--force"]).code(64).says(&["overwrite"]);
}

#[test]
fn errors_are_json_lines_on_request() {
    for (args, code, kind) in [
        (&["tep", "missing.vhdr", "plain.vhdr", "--table", "trials", "--json"][..], 1, "input"),
        (&["info", "broken.vhdr", "--json"], 65, "format"),
        (&["tep", "plain.vhdr", "--table", "trials", "--channels", "C33", "--json"], 65, "data"),
        (&["tep", "plain.vhdr", "--table", "nothing", "--json"], 64, "usage"),
        (&["tep", "plain.vhdr", "--bogus", "--json"], 64, "usage"),
    ] {
        let ran = stimkit(args).code(code);
        let lines: Vec<serde_json::Value> =
            ran.err.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{l}: {e}"))).collect();
        let error = lines.iter().find(|l| l["level"] == "error").unwrap_or_else(|| panic!("no error in {}", ran.err));
        assert_eq!(error["kind"], kind, "{args:?}");
        assert!(!error["message"].as_str().unwrap().is_empty());
    }
}

#[test]
fn formulas_are_defused_unless_asked_for_raw() {
    let guarded = stimkit(&["tep", "formula.vhdr", "--table", "channels"]).code(0).out;
    assert!(guarded.contains(",'=C3,") && guarded.contains(",'@TMS,"), "{guarded}");
    let raw = stimkit(&["tep", "formula.vhdr", "--table", "channels", "--csv-raw"]).code(0).out;
    assert!(raw.contains(",=C3,") && raw.contains(",@TMS,") && !raw.contains('\''), "{raw}");
    let header = |args: &[&str]| {
        stimkit(&[&["tep", "formula.vhdr", "--table", "tep", "--channels", "*"], args].concat())
            .code(0)
            .out
            .lines()
            .next()
            .unwrap()
            .to_owned()
    };
    assert!(header(&[]).contains(",'=C3") && header(&["--csv-raw"]).contains(",=C3"));
    // numbers are never touched
    assert!(stimkit(&["tep", "plain.vhdr", "--table", "tep"]).code(0).out.contains(",-1000,"));
}

#[test]
fn identity_comes_from_names_patterns_and_sheets() {
    let four = |rows: &[BTreeMap<String, String>]| ["subject", "session", "task", "run"].map(|c| rows[0][c].clone());
    let bids = "sub-07_ses-pre_task-tms_run-02_eeg.vhdr";
    assert_eq!(four(&table("quality", &[bids])), ["07", "pre", "tms", "02"]);
    assert_eq!(four(&table("quality", &["plain.vhdr"])), ["", "", "", ""]);
    assert_eq!(four(&table("quality", &["plain.vhdr", "--match", "(?<subject>pl)(?<run>a)"])), ["pl", "", "", "a"]);
    let folder = tempfile::tempdir().unwrap();
    let sheet = folder.path().join("sheet.csv").to_string_lossy().into_owned();
    std::fs::write(
        &sheet,
        "age,recording,session,subject\n30,plain,post,S1\n40,sub-07_ses-pre_task-tms_run-02_eeg,x,S2\n",
    )
    .unwrap();
    assert_eq!(four(&table("quality", &["plain.vhdr", "--join", &sheet])), ["S1", "post", "", ""]);
    assert_eq!(four(&table("quality", &[bids, "--join", &sheet])), ["S2", "x", "tms", "02"]);
    // what does not fit is told
    let ran = stimkit(&["tep", "other.vhdr", "--table", "quality", "--join", &sheet, "--match", "(?<run>z+)"]).code(0);
    assert!(ran.err.contains("W_NOT_IN_SHEET") && ran.err.contains("W_NO_MATCH"), "{}", ran.err);
    stimkit(&["tep", "plain.vhdr", "--table", "quality", "--match", "(?<run>"]).code(64).says(&["--match"]);
    stimkit(&["tep", "plain.vhdr", "--table", "quality", "--match", "(?<sub>p)"]).code(64).says(&["subject"]);
    std::fs::write(&sheet, "name,subject\nplain,S1\n").unwrap();
    stimkit(&["tep", "plain.vhdr", "--table", "quality", "--join", &sheet]).code(64).says(&["`recording`"]);
    // every command that writes tables knows it
    assert_eq!(four(&rows(&stimkit(&["events", bids]).code(0).out)), ["07", "pre", "tms", "02"]);
}

#[test]
fn channels_are_chosen_named_bad_and_left_out() {
    let status = |args: &[&str]| -> BTreeMap<String, String> {
        let rows = table("channels", &[&["plain.vhdr"], args].concat());
        rows.iter().map(|r| (r["channel"].clone(), r["status"].clone())).collect()
    };
    let all = status(&[]);
    assert_eq!(all.len(), 12);
    let bad = status(&["--bad", "C3"]);
    assert_eq!((bad["C3"].as_str(), bad.len()), ("bad", 12));
    let excluded = status(&["--exclude", "O*,C3"]);
    assert_eq!(
        (excluded["C3"].as_str(), excluded["O1"].as_str(), excluded["C4"].as_str()),
        ("excluded", "excluded", "used")
    );
    let chosen = status(&["--channels", "C3,C4,F*"]);
    assert_eq!((chosen["C3"].as_str(), chosen["O1"].as_str()), ("used", "excluded"));
    let header = stimkit(&["tep", "plain.vhdr", "--table", "tep", "--channels", "C3,C4"]).code(0).out;
    assert!(header.lines().next().unwrap().ends_with(",filled,C3,C4"));
    stimkit(&["tep", "plain.vhdr", "--table", "tep", "--exclude", "*"]).code(65).says(&["EEG"]);
    stimkit(&["tep", "plain.vhdr", "--table", "tep", "--channels", "Q7"]).code(65).says(&["Q7", "C3"]);
}

#[test]
fn several_kinds_of_events_are_a_question() {
    let ran = stimkit(&["tep", "two.vhdr", "--table", "trials"]).code(65).says(&["S  1", "S  2", "--event"]);
    // the table of events: name, count, median interval
    for name in ["S  1", "S  2"] {
        let line = ran.err.lines().find(|l| l.contains(name)).unwrap();
        assert!(line.matches(|c: char| c.is_ascii_digit()).count() >= 3, "{line}");
    }
    assert!(table("trials", &["two.vhdr", "--event", "S  1"]).iter().all(|r| r["condition"] == "S  1"));
    // the named ones, in order of first appearance
    let both = column(&table("quality", &["two.vhdr", "--event", "S*"]), "condition");
    assert_eq!(both, ["S  1", "S  2"]);
    let named = column(&table("quality", &["two.vhdr", "--event", "S  2", "--event", "S  1"]), "condition");
    assert_eq!(named, both);
    stimkit(&["tep", "two.vhdr", "--event", "TMS", "--table", "trials"]).code(65).says(&["TMS", "S  1", "--event"]);
    // markers at the pulses need no flag, whatever else there is
    let auto = column(&table("trials", &["plain.vhdr"]), "condition");
    assert!(auto.len() >= 8 && auto.iter().all(|c| c == "TMS"));
    let found = table("trials", &["two.vhdr", "--detect"]);
    assert_eq!(found.len(), auto.len());
}

#[test]
fn check_tells_every_problem_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = folder.path().join("bad.toml").to_string_lossy().into_owned();
    let text = "[input]\nbad = [\"Q9\"]\n[[stream]]\nuse = \"decimate\"\nto_hz = -5\n[[stream]]\nuse = \"butterworth\"\n\
                band_hz = [1, 800]\n[cut]\nwindow_ms = [500, -500]\n[[epoch]]\nuse = \"baseline\"\nwindow_ms = [-9000, -8000]\n\
                [[marker]]\nuse = \"tep\"\n";
    std::fs::write(&recipe, text).unwrap();
    stimkit(&["check", &recipe, "plain.vhdr"]).code(64).says(&[
        "input.bad",
        "Q9",
        "stream[0].to_hz",
        "stream[1].band_hz",
        "cut.window_ms",
        "epoch[0].window_ms",
    ]);
    let typos = "[inputs]\n[[stream]]\nuse = \"butterwoth\"\n[cut]\nwindow = [0, 1]\n[[epoch]]\nuse = \"reject\"\nmax_ptp = 1\n";
    std::fs::write(&recipe, typos).unwrap();
    stimkit(&["check", &recipe, "plain.vhdr"]).code(64).says(&[
        "`input`",
        "stream[0]",
        "`butterworth`",
        "cut",
        "`window_ms`",
        "epoch[0]",
        "`max_ptp_uv`",
    ]);
    let ran = stimkit(&["check", "tep", "plain.vhdr"]).code(0);
    for part in ["pulse", "decimate", "butterworth", "12 channels", "TMS", "2001 samples", "memory"] {
        assert!(ran.out.contains(part), "{part}: {}", ran.out);
    }
    let told: serde_json::Value =
        serde_json::from_str(&stimkit(&["check", "tep", "plain.vhdr", "--json"]).code(0).out).unwrap();
    assert_eq!(told["stages"].as_array().unwrap().len(), 3);
}

#[test]
fn recipes_are_listed_printed_and_parsed_back() {
    let listed = stimkit(&["recipe"]).code(0).out;
    let names: Vec<&str> = listed.lines().filter_map(|l| l.split_whitespace().next()).collect();
    assert!(names.contains(&"tep") && names.contains(&"tep-1hz"), "{listed}");
    for name in names {
        // what `phase` finds are its triggers, told by its Stage
        let measures = if name == "phase" { "[[stream]]" } else { "[[marker]]" };
        assert!(stimkit(&["recipe", name]).code(0).out.contains(measures), "{name}");
        let resolved = stimkit(&["run", name, "--print-recipe"]).code(0).out;
        assert!(resolved.contains("[input]") && resolved.parse::<toml::Table>().is_ok(), "{name}");
    }
}

#[test]
fn info_events_and_simulate() {
    let text = stimkit(&["info", "plain.vhdr"]).code(0).out;
    assert!(text.contains("12 eeg") && text.contains("1000 Hz") && text.contains("TMS"), "{text}");
    let told: serde_json::Value =
        serde_json::from_str(stimkit(&["info", "plain.vhdr", "--json"]).code(0).out.trim()).unwrap();
    assert_eq!(
        (&told["recording"], told["streams"][0]["channels"].as_array().map(Vec::len)),
        (&"plain".into(), Some(12))
    );

    let kinds = rows(&stimkit(&["events", "two.vhdr"]).code(0).out);
    assert_eq!(column(&kinds, "event"), ["S  1", "S  2"]);
    let list = rows(&stimkit(&["events", "plain.vhdr", "--list"]).code(0).out);
    let truth = rows_of(&lab().join("plain.truth_events.csv"));
    assert_eq!(column(&list, "sample"), column(&truth, "sample"));
    assert_eq!(kinds.iter().map(|k| k["count"].parse::<usize>().unwrap()).sum::<usize>(), list.len());
    let detected = rows(&stimkit(&["events", "plain.vhdr", "--detect"]).code(0).out);
    assert!(detected.iter().any(|r| r["pulse_lag_median_ms"].parse::<f64>().is_ok_and(|lag| lag.abs() < 5.0)));

    let settings = stimkit(&["simulate", "tms", "--print-settings", "--set", "interval_s=2.5"]).code(0).out;
    assert_eq!(settings.parse::<toml::Table>().unwrap()["interval_s"].as_float(), Some(2.5));
    stimkit(&["simulate", "tms", "-o", "never.vhdr", "--set", "intervals=1"]).code(64).says(&["interval"]);
    // the seed decides every byte
    let folder = tempfile::tempdir().unwrap();
    for (name, seed) in [("a", "5"), ("b", "5"), ("c", "6")] {
        let file = format!("{name}.vhdr");
        let args =
            ["simulate", "tms", "--channels", "3", "--rate", "500", "--seconds", "8", "--seed", seed, "-o", &file];
        stimkit_in(folder.path(), &args).code(0);
    }
    let data = ["a.eeg", "b.eeg", "c.eeg"].map(|f| std::fs::read(folder.path().join(f)).unwrap());
    assert!(data[0] == data[1] && data[0] != data[2]);
}

#[test]
fn rest_and_tacs_come_with_their_truth() {
    let folder = tempfile::tempdir().unwrap();
    let stimkit = |args: &str| stimkit_in(folder.path(), &args.split(' ').collect::<Vec<_>>());
    let size = "--channels 8 --rate 500 --seconds 24";
    stimkit(&format!("simulate rest {size} --set eyes_s=6 -o rest.vhdr")).code(0).says(&["truth_{spectrum,coupling}"]);
    let spectrum = rows_of(&folder.path().join("rest.truth_spectrum.csv"));
    assert_eq!((spectrum.len(), column(&spectrum, "condition")[8].as_str()), (16, "EO"));
    let events = rows(&stimkit("events rest.vhdr --list").code(0).out);
    assert_eq!(column(&events, "event"), ["EC", "EO", "EC", "EO"]);
    stimkit(&format!("simulate tacs {size} --set lead_s=4 --set tail_s=4 --set ramp_s=1 -o tacs.vhdr")).code(0);
    let stimulation = rows_of(&folder.path().join("tacs.truth_stimulation.csv"));
    assert_eq!((stimulation.len(), stimulation[0]["start_s"].as_str(), stimulation[0]["ppm"].as_str()), (1, "4", "12"));
    assert!(stimkit("info tacs.vhdr").code(0).out.contains("1 stim"));
    // the truth is the recording without the copy of the current
    let sizes = ["tacs.eeg", "tacs.truth.eeg"].map(|f| std::fs::metadata(folder.path().join(f)).unwrap().len());
    assert_eq!(sizes, [9 * 4 * 12_000, 8 * 4 * 12_000]);
    stimkit("simulate tacs -o tacs.vhdr --force --int16 0.1").code(64).says(&["resolution_uv"]);
}

#[test]
fn a_converted_recording_gives_the_same_tables() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("plain.vhdr").to_string_lossy().into_owned();
    stimkit(&["convert", "plain.vhdr", "-o", &copy]).code(0);
    stimkit(&["convert", "plain.vhdr", "-o", "plain.edf"]).code(64).says(&[".vhdr"]);
    for name in ["trials", "tep", "peaks", "quality"] {
        let (a, b) = (table(name, &["plain.vhdr"]), table(name, &[&copy]));
        assert_eq!(a.len(), b.len());
        for (a, b) in a.iter().zip(&b) {
            for (column, x) in a {
                match (x.parse::<f64>(), b[column].parse::<f64>()) {
                    // float32 keeps 24 bits: half a step of 10 mV is 0.0006 µV
                    (Ok(x), Ok(y)) => assert!((x - y).abs() <= 1e-3 * (1.0 + x.abs()), "{name}.{column}: {x} and {y}"),
                    _ => assert_eq!(*x, b[column], "{name}.{column}"),
                }
            }
        }
    }
}

#[test]
fn completions_and_the_manual_page() {
    for shell in ["bash", "zsh", "fish"] {
        let text = stimkit(&["completions", shell]).code(0).out;
        assert!(text.contains("stimkit") && text.contains("print-recipe"), "{shell}");
    }
    stimkit(&["completions", "cmd.exe"]).code(64);
    let page = stimkit(&["man"]).code(0).out;
    assert!(page.contains(".TH stimkit") && page.contains(".SH SYNOPSIS"), "{page}");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    for args in [&["tep", "plain.vhdr", "--table", "tep", "--long"][..], &["completions", "zsh"]] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_stimkit"))
            .args(args)
            .current_dir(lab())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut few = [0; 16];
        child.stdout.take().unwrap().read_exact(&mut few).unwrap();
        let output = child.wait_with_output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.code() == Some(0) && !err.contains("panicked") && !err.contains("error"),
            "{args:?}: {err}"
        );
    }
}

#[test]
fn labels_cannot_drive_the_terminal() {
    copy(lab(), "plain", "hostile", |vhdr| vhdr.replace("=C3,", "=\x1b[31mC3,"), |vmrk| vmrk);
    for args in [&["info", "hostile.vhdr"][..], &["tep", "hostile.vhdr", "--table", "tep", "--channels", "zz"]] {
        let ran = stimkit(args);
        assert!(!ran.out.contains('\x1b') && !ran.err.contains('\x1b'), "{args:?}");
    }
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_says_what_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let mut child = Command::new(env!("CARGO_BIN_EXE_stimkit"))
        .args([&["tep", "-o"], [&*out.to_string_lossy()].as_slice(), &["plain.vhdr"; 500]].concat())
        .current_dir(lab())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // as soon as something is done, and long before everything is
    while !out.join("plain_1/recording.json").exists() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(75));
    let run = json(&out.join("run.json"));
    let failures = rows_of(&out.join("failures.csv"));
    let recordings = run["recordings"].as_array().unwrap();
    assert_eq!((run["exit_code"].as_u64(), recordings.len()), (Some(75), 500), "every input is told");
    for recording in recordings {
        let name = recording["recording"].as_str().unwrap();
        let failed = failures.iter().find(|f| f["recording"] == name);
        assert_eq!(recording["outcome"] == "done", failed.is_none());
        assert_eq!(out.join(name).join("recording.json").exists(), failed.is_none(), "{name}");
        assert!(failed.is_none_or(|f| f["kind"] == "interrupted"));
    }
    assert!(!failures.is_empty() && failures.len() < 500, "{} interrupted", failures.len());
    assert!(files(&out).keys().all(|name| !name.contains(".stimkit-")), "a temporary file is left");
}

/// A recipe file in a fresh folder.
fn recipe_file(text: &str) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("own.toml");
    std::fs::write(&path, text).unwrap();
    let path = path.to_string_lossy().into_owned();
    (folder, path)
}

const MATRIX: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/matrix");

#[test]
fn matrices_need_a_rate_and_a_unit() {
    let (epochs, csv) = (format!("{MATRIX}/epochs_f8.npy"), format!("{MATRIX}/comma.csv"));
    for command in [&["info"][..], &["events"], &["tep", "--table", "tep"], &["check", "tep"]] {
        stimkit(&[command, &[&epochs, "--unit", "uV"]].concat()).code(64).says(&["--rate"]);
        stimkit(&[command, &[&epochs, "--rate", "250"]].concat()).code(64).says(&["--unit"]);
    }
    stimkit(&["info", &epochs, "--rate", "250", "--unit", "furlong"]).code(64).says(&["--unit"]);
    stimkit(&["info", &epochs, "--rate", "0", "--unit", "uV"]).code(64).says(&["--rate"]);
    let told = stimkit(&["info", &epochs, "--rate", "250", "--unit", "uV"]).code(0).out;
    assert!(told.contains("5 of 40 samples, 0 to 0.156 s") && told.contains("250 Hz"), "{told}");
    assert!(stimkit(&["info", &csv, "--unit", "mV"]).code(0).out.contains("250 Hz"), "the rate is in the times");
    stimkit(&["info", &format!("{MATRIX}/archive.npz")]).code(65).says(&["np.save"]);
    let needless = stimkit(&["info", "plain.vhdr", "--rate", "5"]).code(0).err;
    assert!(needless.contains("W_RATE_NOT_NEEDED"), "{needless}");
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.vhdr").to_string_lossy().into_owned();
    stimkit(&["convert", &csv, "-o", &out, "--unit", "mV"]).code(0);
    assert!(stimkit(&["info", &out]).code(0).out.contains("C3 [uV]"));
}

#[test]
fn epochs_from_elsewhere_are_measured_as_they_are() {
    let epochs = format!("{MATRIX}/epochs_f8.npy");
    let (_folder, recipe) = recipe_file(
        "[[stream]]\nuse = 'decimate'\nto_hz = 50\n[cut]\nevery_ms = 100\n[[epoch]]\nuse = 'baseline'\nwindow_ms = [0, 40]\n\
         [[marker]]\nuse = 'tep'\n",
    );
    let run = |command: &[&str], more: &[&str]| {
        stimkit(&[command, &[&recipe, &epochs, "--rate", "250", "--unit", "uV"], more].concat())
    };
    run(&["run"], &["--table", "tep"]).code(65).says(&["--channels"]);
    let all = ["--channels", "ch*", "--table", "tep"];
    let ran = run(&["run"], &all).code(0);
    assert!(ran.err.contains("W_EPOCHED") && ran.err.contains("decimate"), "{}", ran.err);
    let rows = rows(&ran.out);
    assert_eq!(
        (rows.len(), &*rows[0]["condition"], &*rows[39]["time_ms"], &*rows[0]["n_trials"]),
        (40, "epoch", "156", "5")
    );
    run(&["run"], &[&all[..], &["--set", "epoch[0].window_ms=[-100, 0]"]].concat()).code(65).says(&[
        "epoch[0].window_ms",
        "leaves the epoch",
        "--set 'epoch[0].window_ms=[0, 156]'",
    ]);
    run(&["run"], &[&all[..], &["--event", "epoxh"]].concat()).code(65).says(&["epoch"]);
    let told = run(&["check"], &["--set", "input.channels='ch*'"]).code(0);
    assert!(told.err.contains("W_EPOCHED"), "{}", told.err);
    assert!(told.out.contains("comes in 5 epochs") && told.out.contains("40 samples"), "{}", told.out);
}

#[test]
fn conditions_get_as_many_trials_on_request() {
    let args = ["two.vhdr", "--event", "S*", "--set", "epoch.reject.max_ptp_uv=1e6", "--set", "input.pulses='S*'"];
    let kept = |args: &[&str]| {
        let rows = table("trials", args);
        ["S  1", "S  2"].map(|name| rows.iter().filter(|r| r["condition"] == name && r["kept"] == "1").count())
    };
    let [a, b] = kept(&args);
    assert!(a != b && a.min(b) > 1, "{a} {b}: the test needs conditions of different size");
    let matched = [&args[..], &["--match-trials"]].concat();
    assert_eq!(kept(&matched), [a.min(b); 2]);
    let reasons = column(&table("trials", &matched), "reason");
    assert_eq!(reasons.iter().filter(|r| *r == "matched").count(), a.abs_diff(b));
    assert!(stimkit(&["tep", "--match-trials", "--print-recipe"]).code(0).out.contains("use = \"match-trials\""));
}

const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/demo/demo.vhdr");

#[test]
fn spectral_verbs_run_as_they_are() {
    for (verb, names) in [
        ("power", &["spectrum", "power", "ratio", "aperiodic", "aperiodic_peaks", "rhythm", "index"][..]),
        ("tfr", &["tfr", "tfr_bands", "natural_frequency"]),
        ("connectivity", &["connectivity"]),
    ] {
        let (_folder, out) = run_into(&[verb, DEMO], 0);
        for name in names {
            let text = std::fs::read_to_string(out.join(format!("demo/{name}.csv"))).unwrap();
            let contract = CONTRACT.iter().find(|(n, _)| n == name).map_or("", |(_, columns)| columns);
            let header = text.lines().next().unwrap();
            assert!(header.starts_with(&format!("{IDENTITY},{contract}")), "{verb}: {name}: {header}");
            // the demo is full of pulses: all but `power` drop every trial, and `trials` says why
            assert!(verb != "power" || text.lines().count() > 1, "{verb}: {name} is empty");
        }
    }
}

#[test]
fn printed_spectral_recipes_give_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let pulses_pass = ["--set", "epoch.reject.max_ptp_uv=1e5"];
    for name in ["power", "tfr", "tms-tfr", "connectivity", "rest-connectivity-lagfree", "pre-pulse-state"] {
        let recipe = folder.path().join(format!("{name}.toml"));
        std::fs::write(&recipe, stimkit(&[&["run", name, "--print-recipe"][..], &pulses_pass].concat()).code(0).out)
            .unwrap();
        let (_a, direct) = run_into(&[&["run", name, DEMO][..], &pulses_pass].concat(), 0);
        let (_b, through) = run_into(&["run", &recipe.to_string_lossy(), DEMO], 0);
        same_tables(&direct, &through);
        let kept = rows_of(&direct.join("demo/trials.csv")).iter().filter(|r| r["kept"] == "1").count();
        assert!(kept > 0, "{name}: no trial of the demo is kept");
    }
}

#[test]
fn every_table_of_every_marker_is_listed() {
    let listed = stimkit(&["columns"]).code(0).out;
    let names: Vec<&str> = listed.lines().filter_map(|l| l.split_whitespace().next()).collect();
    for name in ["ratio", "graph", "pac", "nm", "spread", "propagation", "natural_frequency", "aperiodic_peaks"] {
        assert!(names.contains(&name), "{name} is not listed");
    }
    let once: std::collections::BTreeSet<_> = names.iter().collect();
    assert_eq!(once.len(), names.len(), "a table is listed twice");
    for name in names {
        assert!(stimkit(&["columns", name]).code(0).out.contains("  recording "), "{name}");
    }
}

#[test]
fn spectral_verbs_patch_their_recipe() {
    let (_folder, recipe) = recipe_file("[cut]\nwindow_ms = [-500, 500]\n[[marker]]\nuse = 'tep'\n");
    for verb in ["power", "tfr", "connectivity"] {
        let out = stimkit(&[verb, "--recipe", &recipe, "--every", "2000", "--print-recipe"]).code(0).out;
        assert!(out.contains("every_ms = 2000") && !out.contains("window_ms"), "{out}");
        let flags = ["--bands", "alpha=8-13,low=1.25-4"];
        stimkit(&[&[verb, "--recipe", &recipe, "--print-recipe"], &flags[..]].concat()).code(64).says(&["`bands_hz`"]);
        for wrong in ["alpha", "alpha=8", "alpha=13-8", "=1-2", "alpha=a-b"] {
            stimkit(&[verb, "--recipe", &recipe, "--bands", wrong, "--print-recipe"]).code(64).says(&["NAME=LO-HI"]);
        }
    }
    for (flags, said) in [
        (&["--full"][..], "`full`"),
        (&["--seeds", "C3"], "`seeds`"),
        (&["--pairs", "C3:C4,Fz:Cz"], "`pairs`"),
        (&["--measures", "coh,plv"], "`measures`"),
        (&["--pairs", "C3"], "C3:C4"),
        (&["--pairs", "C3:C4", "--seeds", "C3"], "cannot be used"),
    ] {
        stimkit(&[&["connectivity", "--recipe", &recipe, "--print-recipe"], flags].concat()).code(64).says(&[said]);
    }
}

/// A WAV file of two channels, and the same command in all its ways to end.
#[test]
fn waveform_measures_a_wav_file_and_compares_with_the_protocol() {
    let folder = TempDir::new().unwrap();
    let spec =
        hound::WavSpec { channels: 2, sample_rate: 2000, bits_per_sample: 24, sample_format: hound::SampleFormat::Int };
    let mut writer = hound::WavWriter::create(folder.path().join("stim.wav"), spec).unwrap();
    for i in 0..40_000 {
        let t = f64::from(i) / 2000.0;
        let x = (std::f64::consts::TAU * 10.0 * t).sin() * (t / 4.0).min((20.0 - t) / 4.0).clamp(0.0, 1.0);
        for sign in [1.0, -1.0] {
            writer.write_sample((sign * 0.5 * x * 8_388_607.0).round() as i32).unwrap();
        }
    }
    writer.finalize().unwrap();
    let protocol = "10Hz,1mA,ramp=4s,duration=20s";
    let ran =
        stimkit_in(folder.path(), &["waveform", "stim.wav", "-o", "out", "--full-scale", "2mA", "--expect", protocol]);
    assert_eq!((ran.code, ran.out.as_str()), (0, ""), "{}", ran.err);
    assert!(ran.err.contains("stim: 2 of 2 episodes ok"), "{}", ran.err);
    let read = |name: &str| std::fs::read_to_string(folder.path().join("out").join(name)).unwrap();
    let rows: Vec<Vec<String>> = csv::ReaderBuilder::new()
        .has_headers(false)
        .from_reader(read("waveform.csv").as_bytes())
        .records()
        .map(|r| r.unwrap().iter().map(str::to_owned).collect())
        .collect();
    let (_, columns) = CONTRACT.iter().find(|(name, _)| *name == "waveform").unwrap();
    assert!(rows[0].join(",").starts_with(&format!("{IDENTITY},{columns}")));
    let cell = |row: usize, name: &str| rows[row][rows[0].iter().position(|c| c == name).unwrap()].clone();
    assert_eq!(
        (rows.len(), cell(1, "unit"), cell(2, "channel"), cell(2, "verdict")),
        (3, "mA".into(), "ch2".into(), "ok".into())
    );
    let number = |row, name| cell(row, name).parse::<f64>().unwrap();
    assert!((number(1, "amplitude") - 1.0).abs() < 1e-5 && (number(2, "phase_deg").abs() - 180.0).abs() < 1e-3);
    assert_eq!(read("expectations.csv").lines().filter(|l| l.contains(",met,")).count(), 10);
    assert!(read("run.json").contains("[waveform]"));
    // shares of full scale cannot be compared with mA, and nothing is guessed
    let ran = stimkit_in(folder.path(), &["waveform", "stim.wav", "--table", "expectations", "--expect", protocol]);
    assert_eq!((ran.code, ran.out.matches("not_comparable").count()), (0, 2), "{}", ran.err);
    for (code, args) in [
        (64, vec!["waveform", "stim.wav", "-o", "x", "--full-scale", "2"]),
        (64, vec!["waveform", "stim.wav", "-o", "x", "--expect", "fast"]),
        (64, vec!["waveform", "-o", "x"]),
        (64, vec!["waveform", "stim.wav"]),
        (65, vec!["waveform", "stim.wav", "-o", "x", "--channels", "ch9"]),
        (66, vec!["waveform", "missing.wav", "-o", "x"]),
        (73, vec!["waveform", "stim.wav", "-o", "out"]),
    ] {
        let ran = stimkit_in(folder.path(), &args);
        assert_eq!(ran.code, code, "{args:?}: {}", ran.err);
    }
}

#[test]
fn what_could_not_be_cleaned_stays_out_of_the_reference_and_what_is_shared_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let stimkit = |args: &str| stimkit_in(folder.path(), &args.split(' ').collect::<Vec<_>>());
    stimkit("simulate rest --channels 8 --rate 250 --seconds 90 --set eyes_s=0 -o rest.vhdr").code(0);
    let bytes = std::fs::read(folder.path().join("rest.eeg")).unwrap();
    let brain: Vec<f32> = bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    // 1 mV at 10 Hz between 30 and 60 s; in the third channel saturated, in the sixth breathing
    let header = std::fs::read_to_string(folder.path().join("rest.vhdr")).unwrap();
    let record = |name: &str, clip: f32, breath: f32| {
        let mut x = brain.clone();
        for (i, x) in x.iter_mut().enumerate() {
            let (channel, t) = (i % 8, (i / 8) as f32 / 250.0);
            let on = (t - 30.0).min(60.0 - t).clamp(0.0, 1.0);
            let depth = if channel == 5 { breath * (1.5 * t).sin() } else { 0.0 };
            *x += 1000.0 * on * (1.0 + depth) * (std::f32::consts::TAU * (10.0 * t).fract()).sin();
            if channel == 2 {
                *x = x.clamp(-clip, clip);
            }
        }
        let bytes: Vec<u8> = x.iter().flat_map(|x| x.to_le_bytes()).collect();
        std::fs::write(folder.path().join(format!("{name}.eeg")), bytes).unwrap();
        std::fs::write(folder.path().join(format!("{name}.vhdr")), header.replace("rest.", &format!("{name}.")))
            .unwrap();
        std::fs::copy(folder.path().join("rest.vmrk"), folder.path().join(format!("{name}.vmrk"))).unwrap();
    };
    record("clip", 500.0, 0.0);
    record("breath", 1e6, 0.02);

    stimkit("tacs clip.vhdr -o clip").code(0).says(&["W_REFUSED", "left out of reference"]);
    let channels = rows_of(&folder.path().join("clip/channels.csv"));
    assert_eq!((channels[2]["status"].as_str(), channels[2]["reason"].starts_with("refused: ")), ("bad", true));
    assert!(channels.iter().enumerate().all(|(i, c)| i % 8 == 2 || c["status"] == "used"), "{channels:?}");
    let power = rows_of(&folder.path().join("clip/power.csv"));
    let bad = &channels[2]["channel"];
    assert!(power.iter().all(|row| (row["channel"] == *bad) == row["power_uv2"].is_empty()));

    stimkit("tacs breath.vhdr -o breath").code(0).says(&["W_SHARED_RESIDUE", "--bad"]);
    // times of one recording say nothing about another
    stimkit("tacs breath.vhdr --models clip/clip/recording.json -o other").code(65).says(&["another recording"]);
    stimkit("tacs clip.vhdr --models clip/clip/recording.json -o same").code(0);
}
