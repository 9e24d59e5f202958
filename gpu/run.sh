#!/usr/bin/env bash
# Works on a borrowed GPU machine without a network, on what `make gpu-pack` has put into gpu/pack/.
#
#   bash gpu/run.sh MINUTES PROFILE TASK...      results: $OUT/results.tar.gz.* (default folder: gpu/out/)
#   bash gpu/run.sh --dry                        the same, tiny, on what is installed here (quick profile)
#
# A TASK is NAME (execute the notebook by papermill, alone), or NAME:WORKERS (compute the runs of its grid, side by side),
# or NAME:WORKERS:ID,ID... (only these runs). Runs that `make gpu-pack RUNS="ID ID"` sent along are there from the start.
# Grids run together. When the minutes are over, everything stops; the next call on the same machine goes on from there and
# sends only what is new. With STOPPED=1 stopped trainings come home too, with their checkpoints. With MPS=1 the processes
# share the GPU at the same instant (NVIDIA's multi-process service, where it runs) in place of taking turns.
set -uo pipefail
cd "$(dirname "$0")/.."
dry=""
[ "${1:-}" = "--dry" ] && { dry=1; set -- 10 quick 24b_gpu 24_speed:1; }
[ $# -ge 3 ] || { sed -n '2,12p' "$0" | cut -c3- >&2; exit 2; }
end=$((SECONDS + 60 * $1)); profile=$2; shift 2
left() { echo $((end > SECONDS ? end - SECONDS : 1)); }
say() { echo "[$SECONDS s] $*"; }
cinn_run=(python3 -c 'from cinn_nb.study import main; main()')

pack=gpu/pack; here=${CINN_GPU_FOLDER:-/tmp/cinn_gpu}; out=${OUT:-gpu/out}
mkdir -p "$here" "$out"
export CINN_STORE=$here/store OMP_NUM_THREADS=1 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH}
[ -f $pack/commit ] && { CINN_COMMIT=$(cat $pack/commit); export CINN_COMMIT; }
if compgen -G "$pack/wheels/*.whl" > /dev/null && [ -z "$dry" ]; then
  export PYTHONPATH=$PYTHONPATH:$here/site JUPYTER_PATH=$here/site/share/jupyter IPYTHONDIR=$here/ip MPLCONFIGDIR=$here/mpl
  [ -d "$here/site" ] || python3 -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --target "$here/site" $pack/wheels/*.whl || exit 1
fi
if [ -f $pack/images.zip ]; then
  export CINN_DATA=$here/data
  [ -f "$here/data/.whole" ] || { python3 -c 'import sys; from cinn_nb.elsewhere import unpack_splits as u; print(len(u(*sys.argv[1:])), "images")' $pack/images.zip "$here/data" && touch "$here/data/.whole"; } || exit 1
fi
if [ -f $pack/runs.tar.gz ] && [ ! -f "$here/sent" ]; then
  python3 -c 'from cinn_nb.elsewhere import take_in as t; r = t("gpu/pack/runs.tar.gz"); print(*r, sep="\n")' > "$here/sent" || exit 1
fi
if [ -n "${MPS:-}" ] && command -v nvidia-cuda-mps-control > /dev/null; then
  export CUDA_MPS_PIPE_DIRECTORY=$here/mps CUDA_MPS_LOG_DIRECTORY=$here/mps
  mkdir -p "$here/mps"; nvidia-cuda-mps-control -d
  quit_mps() { echo quit | timeout 20 nvidia-cuda-mps-control > /dev/null 2>&1; }
  if timeout 40 python3 -c 'import torch; print("shared GPU:", torch.ones(2, device="cuda").sum().item() == 2)'; then
    trap quit_mps EXIT
  else
    quit_mps; unset CUDA_MPS_PIPE_DIRECTORY CUDA_MPS_LOG_DIRECTORY; say "no multi-process service: processes take turns"
  fi
fi
say "ready: $(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2>/dev/null || echo 'no GPU'), $(nproc --all) cores"

for task in "$@"; do
  IFS=: read -r name workers ids <<< "$task"
  if [ "$name" = "$task" ]; then
    timeout "$(left)" "${cinn_run[@]}" "nbs/$name.ipynb" -p profile "$profile" > "$out/$name.log" 2>&1
    say "$name: exit $?"; tail -n 3 "$out/$name.log"
  else
    timeout "$(left)" "${cinn_run[@]}" grid "$name" -p profile "$profile" --workers "$workers" ${ids:+--only ${ids//,/ }} > "$out/$name.grid.log" 2>&1 &
  fi
done
while jobs -rp | grep -q .; do
  sleep 5; done_runs=$(ls -d "$CINN_STORE"/*/record.json 2>/dev/null | wc -l)
  [ $((SECONDS % 30)) -lt 5 ] && say "$done_runs runs are done; $(nvidia-smi --query-gpu=utilization.gpu,memory.used --format=csv,noheader 2>/dev/null)"
done
wait; sleep 2  # workers see within a second that their grid has ended
for log in "$out"/*.grid.log; do [ -f "$log" ] && { echo "$log"; tail -n 2 "$log"; }; done
rm -f "$out"/{results,stopped}.tar.gz.*; touch "$here/sent"
python3 - "$here" "$profile" ${STOPPED:+stopped} <<'PY' || exit 1
import sys
from pathlib import Path
from cinn_nb.elsewhere import pack_runs

here, profile = Path(sys.argv[1]), sys.argv[2]
before = (here / "sent").read_text().split()
done = pack_runs(here / "results.tar.gz", {f"runs/{profile}": Path("runs", profile)}, before)
(here / "sent").write_text("\n".join([*before, *done]))
print(f"{len(done)} runs packed, {len(before)} sent before")
if len(sys.argv) > 3:
    print(len(pack_runs(here / "stopped.tar.gz", stopped=True)), "stopped trainings packed")
PY
split -b 15m -d "$here/results.tar.gz" "$out/results.tar.gz."
[ -n "${STOPPED:-}" ] && split -b 15m -d "$here/stopped.tar.gz" "$out/stopped.tar.gz."
say "results: $(du -ch "$out"/*.tar.gz.* | tail -1)"
