package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of times in /proc, the same on every Linux that Go supports.
const tick = 10 * time.Millisecond

// processTime is the CPU time that a process used, with the children that it has
// waited for.
func processTime(pid int) (time.Duration, error) {
	fields, err := statOf(pid)
	if err != nil {
		return 0, err
	}
	var ticks int64
	for _, field := range fields[11:15] { // utime stime cutime cstime
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("reading the CPU time of process %d: %w", pid, err)
		}
		ticks += n
	}
	return time.Duration(ticks) * tick, nil
}

// statOf gives the fields behind the program's name, which may itself hold spaces.
func statOf(pid int) ([]string, error) {
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return nil, fmt.Errorf("reading the CPU time of process %d: %w", pid, err)
	}
	text := string(raw)
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 15 {
		return nil, fmt.Errorf("reading the CPU time of process %d: unexpected %q", pid, text)
	}
	return fields, nil
}

func parentOf(pid int) (int, error) {
	fields, err := statOf(pid)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(fields[1])
}

// familyTime is the CPU time of a process and its children, the ended ones included.
func familyTime(pid int) (time.Duration, error) {
	total, err := processTime(pid)
	if err != nil {
		return 0, err
	}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	for _, path := range stats {
		child, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			continue
		}
		if parent, err := parentOf(child); err != nil || parent != pid {
			continue
		}
		if own, err := processTime(child); err == nil { // one that just ended is counted by its parent
			total += own
		}
	}
	return total, nil
}

// resident is the memory that a process occupies, in bytes.
func resident(pid int) (int64, error) {
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0, fmt.Errorf("reading the memory of process %d: %w", pid, err)
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("reading the memory of process %d: no VmRSS", pid)
}

// meter reads what a server and the database have used between two moments.
type meter struct {
	server, database int // process ids
	began            time.Time
	serverTime       time.Duration
	databaseTime     time.Duration
}

func startMeter(server, database int) (*meter, error) {
	m := &meter{server: server, database: database}
	err := m.read(&m.serverTime, &m.databaseTime)
	m.began = time.Now()
	return m, err
}

func (m *meter) read(server, database *time.Duration) (err error) {
	if *server, err = processTime(m.server); err != nil {
		return err
	}
	*database, err = familyTime(m.database)
	return err
}

// used is what a span of time cost.
type used struct{ wall, server, database time.Duration }

func (m *meter) stop() (used, error) {
	u := used{wall: time.Since(m.began)}
	err := m.read(&u.server, &u.database)
	u.server -= m.serverTime
	u.database -= m.databaseTime
	return u, err
}
