#!/usr/bin/env bash
# The whole job on real MRI, on a CPU: MSD Task04 hippocampus, conversion to prediction with two latents.
#
#     bash benchmarks/hippocampus.sh TASK04_FOLDER WORK_FOLDER [SPEC]
#
# TASK04_FOLDER is the Decathlon's Task04_Hippocampus; WORK_FOLDER gets nnU-Net's three folders. With SPEC, such as
# perturb_hippocampus, annotation styles and errors are planted in the labels first. Continues a training it finds.
set -euo pipefail
task=$(cd "$1" && pwd)
mkdir -p "$2"
work=$(cd "$2" && pwd)
spec=${3:-}
export nnUNet_raw=$work/nnUNet_raw nnUNet_preprocessed=$work/nnUNet_preprocessed nnUNet_results=$work/nnUNet_results
export OMP_WAIT_POLICY=PASSIVE
mkdir -p "$nnUNet_raw" "$nnUNet_preprocessed" "$nnUNet_results"
eval "$(hypersort env)"

id=4
if [ ! -d "$nnUNet_raw/Dataset004_Hippocampus" ]; then
    # nnU-Net's converter wants a test folder, which the training part of the data does not have.
    mkdir -p "$work/msd/Task04_Hippocampus/imagesTs"
    ln -sfn "$task/imagesTr" "$work/msd/Task04_Hippocampus/imagesTr"
    ln -sfn "$task/labelsTr" "$work/msd/Task04_Hippocampus/labelsTr"
    cp -f "$task/dataset.json" "$work/msd/Task04_Hippocampus/dataset.json"
    nnUNetv2_convert_MSD_dataset -i "$work/msd/Task04_Hippocampus" -np 2
fi
if [ -n "$spec" ]; then
    id=704
    hypersort perturb "$nnUNet_raw/Dataset004_Hippocampus" "$nnUNet_raw/Dataset704_HippocampusStyles" \
        --spec "$spec" --seed 7 --all-styles -np 2
fi
dataset=$(basename "$nnUNet_raw"/Dataset"$(printf %03d $id)"_*)
plans=$nnUNet_preprocessed/$dataset/nnUNetPlans.json
if [ ! -f "$plans" ]; then
    nnUNetv2_extract_fingerprint -d $id -np 2 --verify_dataset_integrity
    nnUNetv2_plan_experiment -d $id
    python -m nnunetv2_hypersort.demo.small_plan "$plans"
    nnUNetv2_preprocess -d $id -c 3d_fullres -np 2
fi

cat >"$work/short.yaml" <<'YAML'
training: {num_epochs: 26, num_iterations_per_epoch: 100, num_val_iterations_per_epoch: 5, save_every: 5, seed: 1}
YAML
time HYPERSORT_CONFIG=$work/short.yaml nnUNet_n_proc_DA=0 \
    nnUNetv2_train $id 3d_fullres 0 -tr HyperSORTTrainer -device cpu --c

fold=$nnUNet_results/$dataset/HyperSORTTrainer__nnUNetPlans__3d_fullres/fold_0
mkdir -p "$work/in"
for case in hippocampus_017 hippocampus_019 hippocampus_033; do # held out by nnU-Net's fold 0
    ln -sf "$nnUNet_raw/$dataset/imagesTr/${case}_0000.nii.gz" "$work/in/"
done
for case in hippocampus_003 hippocampus_004; do
    hypersort predict -d $id -c 3d_fullres -f 0 -i "$work/in" -o "$work/out_$case" -device cpu -npp 1 -nps 1 \
        --latent case:$case
done
echo "Latents: $fold/latents.csv   map: $fold/latent_map.png   predictions: $work/out_*"
python - "$fold" <<'PY'
import json, sys
summary = json.load(open(f"{sys.argv[1]}/validation/summary.json"))
for label, scores in summary["mean"].items():
    print(f"Dice of label {label} on the 52 held-out cases, at the mode: {scores['Dice']:.3f}")
PY
