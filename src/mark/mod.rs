//! What we measure: one marker per file, with its columns.
//!
//! Most markers are functions of the averages that the engine keeps; [`peaks`] also accumulates sign-flipped sums and
//! [`trial_values`] a queue of rows. Where to look and when is a [`Site`], which every marker that needs one takes as `site`.

/// The markers, as recipes name them. A new one is its file and a line here: the module is declared from this list too.
macro_rules! with_markers {
    ($then:ident! { $($head:tt)* }) => {
        $then! { $($head)* {
            "tep" => Tep(tep::TepConfig),
            "field" => Field(field::FieldConfig),
            "peaks" => Peaks(peaks::PeaksConfig),
            "pairs" => Pairs(pairs::PairsConfig),
            "areas" => Areas(areas::AreasConfig),
            "trial-values" => TrialValues(trial_values::TrialValuesConfig),
            "state" => State(state::StateConfig),
            "quality" => Quality(quality::QualityConfig),
            "power" => Power(power::PowerConfig),
            "spread" => Spread(spread::SpreadConfig),
            "connectivity" => Connectivity(connectivity::ConnectivityConfig),
            "aperiodic" => Aperiodic(aperiodic::AperiodicConfig),
            "rhythm" => Rhythm(rhythm::RhythmConfig),
            "index" => Index(index::IndexConfig),
            "tfr" => Tfr(tfr::TfrConfig),
            "pac" => Pac(pac::PacConfig),
            "entrainment" => Entrainment(entrainment::EntrainmentConfig),
            "after-effect" => AfterEffect(after_effect::AfterEffectConfig),
        } }
    };
}
pub(crate) use with_markers;

macro_rules! modules {
    ({ $($name:literal => $variant:ident($module:ident :: $config:ident)),+ $(,)? }) => { $(pub mod $module;)+ };
}
with_markers! { modules! {} }

pub mod bands;
pub mod component;
mod flips;
#[cfg(test)]
mod kit;
pub mod series;
pub mod site;

pub use bands::Bands;
pub use site::{Component, Polarity, Roi, Site, SiteChoice};

/// Every table that any marker fills under any settings, in the order of the list.
pub fn all_tables() -> Vec<&'static crate::table::TableSpec> {
    use crate::flow::MarkerConfig;
    macro_rules! tables {
        ({ $($name:literal => $variant:ident($module:ident :: $config:ident)),+ $(,)? }) => {
            [$($module::$config::default().every_table()),+].concat()
        };
    }
    with_markers! { tables! {} }
}

#[cfg(test)]
mod tests {
    use crate::table::TableSpec;

    /// The contract's columns, after the identity columns, in order.
    #[test]
    fn columns_are_the_contract() {
        let tables: &[(&TableSpec, &str)] = &[
            (&super::tep::TEP, "n_trials,time_ms,filled"),
            (&super::tep::TEP_LONG, "n_trials,channel,time_ms,filled,value_uv"),
            (&super::field::FIELD, "roi,n_trials,time_ms,filled,mean_uv,field_uv"),
            (
                &super::peaks::PEAKS,
                "kind,roi,component,polarity,window_start_ms,window_end_ms,found,latency_ms,amplitude_uv,nominal_ms,\
                 value_at_nominal_uv,mean_uv,area_uv_ms,rectified_area_uv_ms,n_candidates,prominence_uv,\
                 sd_baseline_uv,z_baseline,p_signflip,odd_latency_ms,odd_uv,even_latency_ms,even_uv,at_edge,\
                 gap_distance_ms,n_trials",
            ),
            (&super::pairs::PAIRS, "kind,roi,pair,peak_to_peak_uv,latency_difference_ms,found"),
            (&super::areas::AREAS, "roi,measure,start_ms,end_ms,area_uv_ms,mean_uv,baseline_mean_uv,n_trials"),
            (&super::trial_values::TRIAL_VALUES, "trial,roi,component,mean_uv,area_uv_ms,peak_to_peak_uv"),
            (&super::connectivity::GRAPH, "measure,band,threshold,node,metric,value"),
            (
                &super::pac::PAC,
                "channel,phase_low_hz,phase_high_hz,amplitude_low_hz,amplitude_high_hz,measure,value,n_epochs,\
                 n_empty_bins,z,p,note,harmonic_share",
            ),
            (&super::pac::NM, "channel_a,channel_b,n,m,a_low_hz,a_high_hz,b_low_hz,b_high_hz,value,n_samples,note"),
            (
                &super::quality::QUALITY,
                "n_events,n_kept,n_bad_channels,interval_median_s,interval_min_s,snr_db,plus_minus_noise_uv,\
                 residual_decay_uv,line_hz,line_uv,saturated_fraction,warnings",
            ),
            (&super::power::SPECTRUM, "channel,frequency_hz,psd_uv2_per_hz"),
            (
                &super::power::POWER,
                "channel,band,low_hz,high_hz,power_uv2,relative,power_db,n_windows,relative_low_hz,relative_high_hz,\
                 n_filled",
            ),
            (&super::power::RATIO, "channel,ratio,value"),
            (
                &super::connectivity::CONNECTIVITY,
                "measure,band,low_hz,high_hz,channel_a,channel_b,value,n_epochs,null_expectation,z,p,reference,note",
            ),
            (
                &super::aperiodic::APERIODIC,
                "channel,low_hz,high_hz,offset,exponent,knee,r_squared,n_peaks,knee_hz,method,error_log10,n_windows,reason",
            ),
            (&super::aperiodic::APERIODIC_PEAKS, "channel,center_hz,height_log10,bandwidth_hz"),
            (
                &super::rhythm::RHYTHM,
                "channel,peak_hz,center_of_gravity_hz,peak_power_db,found,n_peaks,highest_peak_hz,second_peak_hz,\
                 low_hz,high_hz,quality,n_windows,reason",
            ),
            (&super::index::INDEX, "index,channels,reference,value,caveat"),
            (
                &super::tfr::TFR,
                "channel,frequency_hz,time_ms,change_db,itpc,itpc_debiased,affected,n_trials,itpc_null,\
                 power_uv2_per_hz,change",
            ),
            (
                &super::tfr::TFR_BANDS,
                "channel,band,low_hz,high_hz,start_ms,end_ms,change_db,itpc,itpc_debiased,n_cells,n_affected,\
                 n_trials,caveat",
            ),
            (
                &super::tfr::NATURAL_FREQUENCY,
                "kind,channel,start_ms,end_ms,frequency_hz,change_db,sharpness_db,at_edge,from_hz,to_hz,n_trials,caveat",
            ),
            (
                &super::spread::SPREAD,
                "component,window_start_ms,window_end_ms,channel,distance_mm,threshold_uv,onset_ms,peak_ms,peak_uv,\
                 p_signflip,significant,n_trials",
            ),
            (
                &super::spread::PROPAGATION,
                "component,window_start_ms,window_end_ms,target,opposite,n_channels,n_significant,share,n_same_side,\
                 n_other_side,hemispheric_ratio,isp,speed_m_per_s,r_squared,n_fit,n_trials,caution",
            ),
            (
                &super::entrainment::ENTRAINMENT,
                "stimulus,frequency_hz,multiple,channel,n_windows,n_eff,bandwidth_hz,plv,null_expectation,ppc,p,\
                 phase_deg,amplitude_uv,valid,reason",
            ),
            (
                &super::entrainment::ARNOLD,
                "stimulus,channel,frequency_hz,iaf_hz,delta_hz,intensity_ma,artefact_uv,episodes,plv,ppc,n_eff,\
                 null_expectation,valid",
            ),
            (
                &super::entrainment::PHASE_POWER,
                "stimulus,channel,band,low_hz,high_hz,phase_deg,power_uv2,n_samples,mi,p,n_epochs,valid,note",
            ),
            (
                &super::after_effect::AFTER_EFFECT,
                "from,to,measure,band,low_hz,high_hz,channel_a,channel_b,value_from,value_to,change,change_unit,ci_low,\
                 ci_high,p,n_from,n_to,block_epochs,caveat",
            ),
            (
                &super::after_effect::DRIFT,
                "channel,n_epochs,slope_uv_per_s,steepest_uv_per_s,level_uv_per_s,largest_step_uv,step_s",
            ),
        ];
        for &(spec, columns) in tables {
            let names: Vec<&str> = spec.columns.iter().map(|c| c.name.as_ref()).collect();
            assert_eq!(names.join(","), columns, "{}", spec.name);
        }
    }

    /// Of every marker in the list, in this test or not.
    #[test]
    fn columns_have_the_units_of_their_names() {
        for spec in super::all_tables() {
            for column in spec.columns {
                let units = [
                    ("_uv2_per_hz", "uV2/Hz"),
                    ("_uv2", "uV2"),
                    ("_m_per_s", "m/s"),
                    ("_uv_per_s", "uV/s"),
                    ("_mm", "mm"),
                    ("_uv_ms", "uV ms"),
                    ("_uv", "uV"),
                    ("_ms", "ms"),
                    ("_s", "s"),
                    ("_hz", "Hz"),
                    ("_db", "dB"),
                ];
                let expected = units.iter().find(|(end, _)| column.name.ends_with(end)).map_or("", |(_, unit)| unit);
                assert_eq!(column.unit, expected, "{}.{}", spec.name, column.name);
                assert!(column.about.len() > 5, "{}.{}", spec.name, column.name);
            }
        }
    }

    #[test]
    fn configs_read_back_and_refuse_unknown_keys() {
        use serde::{Serialize, de::DeserializeOwned};
        fn check<C: Serialize + DeserializeOwned + Default + PartialEq + std::fmt::Debug>(text: &str) {
            let config: C = toml::from_str(text).unwrap();
            assert_ne!(config, C::default(), "{text}");
            assert_eq!(toml::from_str::<C>(&toml::to_string(&config).unwrap()).unwrap(), config);
            assert_eq!(toml::from_str::<C>(&toml::to_string(&C::default()).unwrap()).unwrap(), C::default());
            assert!(toml::from_str::<C>("sites = 1").unwrap_err().to_string().contains("unknown field `sites`"));
        }
        check::<super::tep::TepConfig>("long = true");
        check::<super::field::FieldConfig>("site = 'm1'\nddof = 1");
        check::<super::peaks::PeaksConfig>("baseline_ms = [-300, -20]\nneighbour_samples = 5\nflips = 0");
        check::<super::pairs::PairsConfig>("channels = false\nneighbour_ms = 3");
        check::<super::areas::AreasConfig>("windows_ms = [[10, 20]]");
        check::<super::trial_values::TrialValuesConfig>("site = 'parietal'");
        check::<super::power::PowerConfig>(
            "ratios = [['theta', 'beta']]\n[bands_hz]\ntheta = [4, 8]\n[psd]\nmethod = 'multitaper'",
        );
        check::<super::aperiodic::AperiodicConfig>("method = 'irasa'\nrange_hz = [3, 30]");
        check::<super::rhythm::RhythmConfig>("range_hz = [6, 14]\norder = 4");
        check::<super::index::IndexConfig>("lempel_ziv = false\ntheta_hz = [4, 7]");
        check::<super::tfr::TfrConfig>("mode = 'hilbert'\npower = 'induced'\nbands_hz = { alpha = [8, 12] }");
        check::<super::pac::PacConfig>("pooled = true\nnm = [{ n = 1, m = 2, a_hz = [9, 11], b_hz = [18, 22] }]");
        check::<super::connectivity::ConnectivityConfig>("orthogonalize = 'symmetric'\n[graph]\ndensity = [0.3]");
        check::<super::spread::SpreadConfig>("target = 'C4'\nflips = 500");
        check::<super::quality::QualityConfig>("decay_treated = true\nline_hz = 60");
        check::<super::entrainment::EntrainmentConfig>(
            "window_ms = 500\nmultiples = [1, 2]\npower_hz = { beta = [13, 40] }",
        );
        check::<super::after_effect::AfterEffectConfig>(
            "from = 'EO'\npairs = [['F*', 'Pz']]\nconnectivity = ['imcoh']",
        );
        check::<super::connectivity::ConnectivityConfig>("mode = 'fourier'\npairs = [['F*', 'Pz']]");
    }
}
