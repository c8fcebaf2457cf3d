#!/usr/bin/env bash
# SPDX-License-Identifier: PostgreSQL
#
# make install, as a packager does it, and what comes with it: a program that knows the installed
# files alone, the example configuration, man pages, unit and alert rules. Prints a line per test
# like the other test programs.
set -u

root=$(mktemp -d)
proxy=""
trap '[ -z "$proxy" ] || kill "$proxy"; rm -rf "$root"' EXIT
stage=$root/stage prefix=/opt/hf failed=0
installed=$stage$prefix

# check TITLE COMMAND...: one test; what the command says is shown if it fails.
check() {
  local title=$1
  shift
  if "$@" >"$root/out" 2>&1; then
    echo "ok      install: $title"
  else
    echo "FAILED  install: $title"
    sed 's/^/            /' "$root/out"
    failed=1
  fi
}

install_all() { env -u MAKEFLAGS make --no-print-directory install DESTDIR="$stage" PREFIX="$prefix"; }

has_all_files() {
  local file
  for file in bin/hostflags-host lib/hostflags/hostflags.so lib/pkgconfig/hostflags.pc \
    include/hostflags/host_api.h share/hostflags/loader.c share/hostflags/loader.h \
    share/man/man7/hostflags.7 share/man/man1/hostflags-host.1 share/doc/hostflags/README.md \
    share/doc/hostflags/examples/hostflags-host.ini \
    share/doc/hostflags/examples/hostflags-host.service share/doc/hostflags/examples/hostflags.rules.yml \
    share/doc/hostflags/examples/hostflags-metrics.service share/doc/hostflags/examples/hostflags-metrics.timer; do
    [ -s "$installed/$file" ] || { echo "not there: $file"; return 1; }
  done
  [ -x "$installed/bin/hostflags-host" ]
}

pc() { PKG_CONFIG_PATH=$installed/lib/pkgconfig pkg-config "$@"; }

pkg_config_is_right() {
  [ "$(pc --modversion hostflags)" = "$(sed -n 's/^  "version": "\(.*\)",$/\1/p' META.json)" ] &&
    [ "$(pc --variable=plugin hostflags)" = "$prefix/lib/hostflags/hostflags.so" ] &&
    [ "$(pc --variable=moduledir hostflags)" = "$prefix/lib/hostflags" ] &&
    [ -z "$(pc --libs hostflags)" ] &&
    [ "$(pc --variable=loaderdir hostflags)" = "$prefix/share/hostflags" ]
}

# A host program that is built with nothing but what was installed.
host_program_works() {
  local flags said
  flags=$(PKG_CONFIG_SYSROOT_DIR=$stage PKG_CONFIG_PATH=$installed/lib/pkgconfig pkg-config --cflags hostflags) || return 1
  cp "$installed"/share/hostflags/loader.[ch] "$root" || return 1
  cat >"$root/host.c" <<'C'
#include <host_api.h>
#include <stdio.h>
#include "loader.h"

int main(int argc, char **argv)
{
    /* All flags are overridden: the service is not asked. */
    const struct hf_setting settings[] = {{"flags", "new, old"}, {"overrides", "new=on, old=off"}};
    struct hf_upstream upstream = {
        .hdr = {HF_ABI_MAGIC, HF_ABI_MAJOR, HF_ABI_MINOR, sizeof(upstream), 0}, .host = "127.0.0.1"};
    struct hf_loader flags = {0};
    char error[512] = "";
    hf_conn conn;

    if (argc != 2 || hf_loader_load(&flags, argv[1], NULL, settings, 2, error, sizeof(error)) != HF_OK)
        return fprintf(stderr, "%s\n", error), 1;
    conn = flags.plugin->on_connect(&upstream);
    printf("%s: new %d, old %d\n", flags.plugin->name, (int)flags.plugin->is_enabled(conn, 0),
        (int)flags.plugin->is_enabled(conn, 1));
    flags.plugin->on_disconnect(conn);
    hf_loader_unload(&flags);
    return 0;
}
C
  # shellcheck disable=SC2086
  (cd "$root" && gcc -std=gnu99 -Wall -Wextra -Werror $flags -o host host.c loader.c -ldl) || return 1
  said=$("$root/host" "$installed/lib/hostflags/hostflags.so") && echo "$said" && [ "$said" = "hostflags: new 1, old 0" ]
}

# The program of the tests' second host: it includes the header, and nothing else of ours.
header_is_enough() {
  local language
  cp tests/contract/run_second_host.c "$root" || return 1
  for language in "gcc -std=gnu99" "clang -std=gnu11"; do
    command -v "${language%% *}" >/dev/null || continue
    # shellcheck disable=SC2046,SC2086
    (cd "$root" && $language -Wall -Wextra -Werror \
      $(PKG_CONFIG_SYSROOT_DIR=$stage PKG_CONFIG_PATH=$installed/lib/pkgconfig pkg-config --cflags hostflags) \
      -o second run_second_host.c -ldl) || return 1
  done
  # Without arguments it says how it is called.
  "$root/second"
  [ $? -eq 2 ]
}

program_works() {
  local config=$root/example.ini
  [ "$("$installed/bin/hostflags-host" --version)" = "hostflags-host $(pc --modversion hostflags)" ] || return 1
  sed "s|^library = .*|library = $installed/lib/hostflags/hostflags.so|" \
    "$installed/share/doc/hostflags/examples/hostflags-host.ini" >"$config"
  "$installed/bin/hostflags-host" --check-config "$config"
}

# The units name the installed program; here that is somewhere else.
units_are_valid() {
  local unit
  for unit in hostflags-host.service hostflags-metrics.service hostflags-metrics.timer; do
    sed "s|/usr/local/bin|$installed/bin|" "$installed/share/doc/hostflags/examples/$unit" >"$root/$unit"
  done
  for unit in hostflags-host.service hostflags-metrics.service hostflags-metrics.timer; do
    systemd-analyze verify --man=no "$root/$unit"
  done >"$root/said" 2>&1
  cat "$root/said"
  ! grep -E 'hostflags-(host|metrics)\.' "$root/said"
}

# What the unit runs, with the paths of here, against a running proxy of the example configuration.
# No client connects to it, so it asks nobody.
metrics_unit_works() {
  local config=$root/running.ini command left=600
  sed -e "s|^status_socket = .*|status_socket = $root/status|" -e "s|^listen = .*|listen = 127.0.0.1:0|" \
    -e "s|^host = .*|host = http://127.0.0.1:9|" -e "s|^pool_size = .*|pool_size = 0|" "$root/example.ini" >"$config"
  "$installed/bin/hostflags-host" --config "$config" >"$root/proxy.log" 2>&1 &
  proxy=$!
  while [ ! -S "$root/status" ] && kill -0 "$proxy" && [ $((left--)) -gt 0 ]; do sleep 0.1; done
  command=$(sed -n "s|^ExecStart=/bin/sh -c '\(.*\)'\$|\1|p" "$installed/share/doc/hostflags/examples/hostflags-metrics.service")
  command=${command//\$\$/\$}
  command=${command//\/usr\/local/$installed}
  METRICS=$root/hostflags.prom /bin/sh -c "${command//\/run\/hostflags-host\/status/$root/status}" || cat "$root/proxy.log"
  kill "$proxy" && wait "$proxy"
  [ $? -eq 0 ] || return 1
  proxy=""
  grep '^hostflags_build_info' "$root/hostflags.prom" && promtool check metrics <"$root/hostflags.prom"
}

manuals_are_readable() {
  local page
  for page in man7/hostflags.7 man1/hostflags-host.1; do
    mandoc -T lint -W warning "$installed/share/man/$page" || return 1
    mandoc -T markdown "$installed/share/man/$page" | grep -q '^# SEE ALSO$' || { echo "no end: $page"; return 1; }
  done
}

# Each key of the file is in the manual, and each metric that the running proxy had.
manual_is_complete() {
  local word keys metrics
  keys=$(sed -n -e 's/^    {\(PROXY\|UPSTREAM\)(\([a-z_]*\)).*/\2/p' -e 's/^    {HF_SECTION_[A-Z]*, "\([a-z_]*\)".*/\1/p' \
    hosts/proxy/config_keys.c)
  [ "$(wc -w <<<"$keys")" -eq 15 ] || { echo "these are not the keys: $keys"; return 1; }
  for word in $keys library; do
    grep -q "^\.It Cm $word$" "$installed/share/man/man1/hostflags-host.1" || { echo "no key $word"; return 1; }
  done
  metrics=$(sed -n 's/^# TYPE \([a-z_]*\) .*/\1/p' "$root/hostflags.prom")
  [ -n "$metrics" ] || { echo "there are no metrics"; return 1; }
  for word in $metrics; do
    grep -q "^\.It Va .*\b$word\b" "$installed/share/man/man7/hostflags.7" || { echo "no metric $word"; return 1; }
  done
  # The rules ask for no others.
  for word in $(grep -o 'hostflags_[a-z_]*' hosts/proxy/hostflags.rules.yml | sort -u); do
    grep -qx "$word" <<<"$metrics" || { echo "the rules want a metric $word, which there is not"; return 1; }
  done
}

# words FUNCTION FILE: the words that this function of the plugin's knows.
words() { sed -n "/^const char \*$1(/,/^}/s/^.*\(return\|=\) \"\([a-z_]*\)\"[;,]\$/\2/p" "$2"; }

# Each word that status, log or metrics use is explained, in the manual and in the README's tables.
words_are_explained() {
  local word all
  sed -n '/^## Operating it$/,/^## Compared/p' README.md >"$root/operating"
  all="$(words hf_state_name plugin/terms.c) $(words hf_reason_name plugin/terms.c)"
  all="$all $(words hf_outcome_name plugin/terms.c) $(words hf_refusal_name plugin/refusal.c | grep -v nothing)"
  [ "$(wc -w <<<"$all")" -eq 26 ] || { echo "these are not the words: $all"; return 1; }
  for word in $all; do
    grep -q "^\.It $word$" "$installed/share/man/man7/hostflags.7" || { echo "hostflags.7: no $word"; return 1; }
    [ "$word" = ok ] || grep -q "^|.*\`$word\`.*|" "$root/operating" || { echo "README.md: no $word"; return 1; }
  done
}

rules_work() {
  cp "$installed/share/doc/hostflags/examples/hostflags.rules.yml" tests/data/hostflags.rules.test.yml "$root"
  (cd "$root" && promtool check rules hostflags.rules.yml && promtool test rules hostflags.rules.test.yml)
}

# Each alert stands in the test of the rules, and says how bad it is, what it is and what to do.
rules_are_tested() {
  local name part count
  count=$(grep -c '^ *- alert: ' hosts/proxy/hostflags.rules.yml)
  for part in 'labels: {severity: \(warning\|critical\)}' 'summary: ".*"' 'description: .*'; do
    [ "$(grep -c "^ *$part$" hosts/proxy/hostflags.rules.yml)" -eq "$count" ] || { echo "not all have $part"; return 1; }
  done
  for name in $(sed -n 's/^ *- alert: //p' hosts/proxy/hostflags.rules.yml); do
    grep -q "alertname=\"$name\"" tests/data/hostflags.rules.test.yml || { echo "no test of $name"; return 1; }
  done
}

# A distribution has its own directories; what somebody else put into ours stays when we go.
other_directories_work() {
  local stage=$root/other directories=(PREFIX=/usr libdir=/usr/lib/some-arch mandir=/m docdir=/d/hf plugindir=/usr/lib/modules)
  env -u MAKEFLAGS make --no-print-directory install DESTDIR="$stage" "${directories[@]}" || return 1
  [ -s "$stage/usr/lib/modules/hostflags.so" ] && [ -s "$stage/m/man7/hostflags.7" ] &&
    [ -s "$stage/d/hf/examples/hostflags.rules.yml" ] || return 1
  [ "$(PKG_CONFIG_PATH=$stage/usr/lib/some-arch/pkgconfig pkg-config --variable=plugin hostflags)" = \
    /usr/lib/modules/hostflags.so ] || return 1
  touch "$stage/d/hf/examples/somebody-elses"
  env -u MAKEFLAGS make --no-print-directory uninstall DESTDIR="$stage" "${directories[@]}" || return 1
  find "$stage" ! -type d
  [ "$(find "$stage" ! -type d)" = "$stage/d/hf/examples/somebody-elses" ]
}

# A shell may have exported a libdir for something else: only the call itself says where we go.
environment_does_not_lead_away() {
  local stage=$root/exported
  env -u MAKEFLAGS libdir="$root/away" docdir="$root/away" plugindir="$root/away" \
    make --no-print-directory install DESTDIR="$stage" PREFIX="$prefix" || return 1
  diff <(cd "$installed" && find . ! -type d | sort) <(cd "$stage$prefix" && find . ! -type d | sort) &&
    [ -z "$(find "$stage" -path '*/away*')" ]
}

nothing_is_left() {
  touch "$installed/share/doc/somebody-elses"
  env -u MAKEFLAGS make --no-print-directory uninstall DESTDIR="$stage" PREFIX="$prefix" || return 1
  find "$stage" ! -type d
  [ "$(find "$stage" ! -type d)" = "$installed/share/doc/somebody-elses" ] &&
    [ -z "$(find "$stage" -name 'hostflags*')" ]
}

check "into a staging directory, under a prefix" install_all
check "all files are there" has_all_files
check "pkg-config knows version, module and loader" pkg_config_is_right
check "C89 a program that knows nothing but host_api.h is compiled by pkg-config alone" header_is_enough
check "C89 a host program is built and loads the plugin with installed files alone" host_program_works
check "C85 the program runs, and takes the example configuration" program_works
if command -v systemd-analyze >/dev/null; then
  check "the systemd units are valid" units_are_valid
else
  echo "skipped install: the systemd units are valid: there is no systemd-analyze here"
fi
check "the metrics of a running proxy get to a file as the unit writes it" metrics_unit_works
check "both manuals are shown without a warning" manuals_are_readable
check "each word of a status is explained in manual and README" words_are_explained
check "the manual names every key of the file and every metric" manual_is_complete
check "promtool: the alert rules are valid, and each fires for what it is about" rules_work
check "each alert rule is tested" rules_are_tested
check "directories of the environment do not count, only those of the call" environment_does_not_lead_away
check "uninstall takes away the same, and nothing else" nothing_is_left
check "other directories, and a file of somebody else's in them" other_directories_work
[ "$failed" -eq 0 ]
