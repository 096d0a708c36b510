#!/bin/sh
# What an administrator does with the package on a machine with systemd, each step judged: `RESULT step 0` is success.
exec 2>&1
result() { echo "RESULT $1 $2"; }
judge() { name=$1; shift; if sh -c "$*"; then result "$name" 0; else result "$name" 1; fi; }
# Machines that are emulated are slow: a minute and a half, or the whole machine's time is up first.
wait_for() {
    name=$1; tries=90
    while [ $tries -gt 0 ]; do
        if sh -c "$2" > /dev/null 2>&1; then result "$name" 0; return; fi
        tries=$((tries - 1)); sleep 1
    done
    result "$name" 1
    echo "--- $2"; sh -c "$2" | tail -20
    systemctl status leakwatch --no-pager -l -n 40
}

result booted 0
echo "FIGURE $(uname -r), $(systemctl --version | head -1)"

dpkg -i /scenario/first.deb
result installs $?
wait_for starts 'systemctl is-active --quiet leakwatch'
judge ready_is_told '[ "$(systemctl show leakwatch -p StatusText --value)" != "" ]'
pid=$(systemctl show leakwatch -p MainPID --value)
judge hardened "grep -q '^NoNewPrivs:.1' /proc/$pid/status && grep -q '^Seccomp:.2' /proc/$pid/status && grep -q '^CapEff:.000001c400080004' /proc/$pid/status"
rating=$(systemd-analyze security leakwatch.service --no-pager | sed -n 's/.*exposure level for leakwatch.service: \([0-9.]*\).*/\1/p')
echo "FIGURE systemd-analyze security: $rating"
judge rated "echo $rating | awk '{ exit !(\$1 > 0 && \$1 <= 3.0) }'"

# What the hardened unit may not do on this kernel is told, and done once an administrator allows it.
leakwatch doctor > /doctor 2>&1
judge lanes_that_are_off_are_told "grep -q 'lane native is off' /doctor"
mkdir -p /etc/systemd/system/leakwatch.service.d
printf '[Service]\nCapabilityBoundingSet=CAP_SYS_ADMIN\n' > /etc/systemd/system/leakwatch.service.d/probes.conf
systemctl daemon-reload
systemctl restart leakwatch
wait_for starts_with_all 'systemctl is-active --quiet leakwatch'
pid=$(systemctl show leakwatch -p MainPID --value)
leakwatch doctor
result lanes_are_on $?

# Somebody else's reload: refused, and everything stays as it was.
echo 'intervall = "1s"' >> /etc/leakwatch/leakwatch.toml
systemctl reload leakwatch
wait_for broken_file_is_refused "systemctl show leakwatch -p StatusText --value | grep -q 'stays in force'"
judge the_daemon_is_the_same "[ $pid = \$(systemctl show leakwatch -p MainPID --value) ]"
sed -i '$d' /etc/leakwatch/leakwatch.toml
sed -i 's/^#interval.*/interval = "1s"/; s/^#automatic.*/automatic = false/' /etc/leakwatch/leakwatch.toml
systemctl reload leakwatch
wait_for reload_is_in_force "leakwatch events --kinds config_reload | grep -q 'changed: interval'"

# The lanes, on programs that do what the lanes are for.
systemd-run --quiet --unit=allocates perl -e 'my @kept; while (1) { push @kept, join "", 1 .. 900 for 1 .. 20; select undef, undef, undef, 0.05 }'
wait_for native_program_is_seen 'leakwatch targets | grep -q allocates.service'
for lane in native growth; do
    leakwatch capture allocates.service --lane $lane --seconds 20 --sample-bytes 4096 > /capture
    head -20 /capture
    judge lane_$lane "grep -q ' done: .* [1-9][0-9]* stacks' /capture"
done
systemctl stop allocates
systemd-run --quiet --unit=gopher /scenario/deathbed -signalled
wait_for lane_go_heap 'leakwatch profile heap gopher.service | grep -q main'
wait_for lane_goroutines 'leakwatch profile goroutine gopher.service | grep -q main'
systemctl stop gopher

# A kill in another unit.
systemd-run --quiet --unit=victim -p MemoryMax=48M -p MemorySwapMax=0 -p OOMPolicy=continue sh -c 'sleep 5; tail /dev/zero; sleep 1000'
wait_for kill_is_told 'leakwatch oom | grep -q tail'
wait_for kill_is_explained 'leakwatch oom $(leakwatch oom | sed -n "s/.* \(oom-[^ ]*\) *$/\1/p" | head -1) | grep -q "because the memory cgroup /system.slice/victim.service reached its limit of 48.0 MiB"'
systemctl stop victim

# Who killed a process that no OOM killer chose.
systemd-run --quiet --unit=stubborn sh -c 'trap "" TERM; while :; do sleep 1; done'
wait_for stubborn_is_seen 'leakwatch targets | grep -q stubborn.service'
systemctl kill --signal=KILL stubborn
wait_for killer_is_told 'leakwatch events --kinds process_exit | grep -q "killed by SIGKILL from systemd (pid 1), not by the kernel.s OOM killer"'

leakwatch mute victim.service --reason 'known' --for 1h
result mutes $?
# An upgrade goes on with what was known, and with the settings as they were changed.
dpkg -i /scenario/second.deb
result upgrades $?
wait_for starts_again 'systemctl is-active --quiet leakwatch'
judge another_daemon "[ $pid != \$(systemctl show leakwatch -p MainPID --value) ]"
wait_for history_is_kept 'leakwatch oom | grep -q tail'
judge mute_is_kept 'leakwatch mutes | grep -q "victim.service *all"'
judge settings_are_kept "grep -q '^interval = \"1s\"' /etc/leakwatch/leakwatch.toml"

# The sampling loop hangs in somebody's file, and the rest of the daemon lives.
mkdir -p /srv/cgroup /etc/systemd/system/leakwatch.service.d
echo 0 > /srv/cgroup/memory.usage_in_bytes
: > /srv/cgroup/cgroup.procs
printf '[Service]\nWatchdogSec=20\n' > /etc/systemd/system/leakwatch.service.d/test.conf
sed -i '1i cgroup_root = "/srv/cgroup"' /etc/leakwatch/leakwatch.toml
systemctl daemon-reload
systemctl restart leakwatch
wait_for starts_on_files 'systemctl is-active --quiet leakwatch'
mkdir /srv/hung
mkfifo /srv/hung/cgroup.procs
mv /srv/hung /srv/cgroup/hung
sleep 5
judge the_rest_lives 'leakwatch events > /dev/null'
wait_for watchdog_trips "journalctl -u leakwatch --no-pager | grep -q 'Watchdog timeout'"
rm -r /srv/cgroup/hung
wait_for starts_after_the_watchdog '[ $(systemctl show leakwatch -p NRestarts --value) -ge 1 ] && systemctl is-active --quiet leakwatch'

systemctl stop leakwatch
judge ends_cleanly '[ "$(systemctl show leakwatch -p Result --value)" = success ]'
rm -r /etc/systemd/system/leakwatch.service.d
dpkg -r leakwatch
judge removing_keeps_history 'test -e /var/lib/leakwatch && test -e /etc/leakwatch/leakwatch.toml'
dpkg -P leakwatch
judge purging_removes 'test ! -e /var/lib/leakwatch && test ! -e /etc/leakwatch/leakwatch.toml'
result end 0
