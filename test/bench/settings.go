package main

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// settings are read from the environment, since make passes that on.
type settings struct {
	Sizes           []int
	Measure         time.Duration // of each loaded row
	Idle            time.Duration // of the idle row
	Through         int           // instances that are taken through to ready
	OneOrganisation bool          // measure the worst case too
	Fsync           bool
	Binary          string
	DatabaseURL     string
	Only            []string // parts to measure; empty: all
}

const mostInstances = 1_000_000

func readSettings(getenv func(string) string) (settings, error) {
	s := settings{DatabaseURL: getenv("TEST_DATABASE_URL")}
	var problems []error
	for _, text := range strings.Split(cmp.Or(getenv("BENCH_SIZES"), "1k,10k,100k"), ",") {
		size, err := readSize("BENCH_SIZES", strings.TrimSpace(text))
		problems = append(problems, err)
		s.Sizes = append(s.Sizes, size)
	}
	seconds := func(name, usual string) time.Duration {
		n, err := strconv.ParseFloat(cmp.Or(getenv(name), usual), 64)
		if err != nil || n <= 0 || n > 600 {
			problems = append(problems, fmt.Errorf("%s: expected a number of seconds up to 600", name))
		}
		return time.Duration(n * float64(time.Second))
	}
	onOff := func(name string) bool {
		switch value := cmp.Or(getenv(name), "on"); value {
		case "on", "off":
			return value == "on"
		default:
			problems = append(problems, fmt.Errorf("%s: expected on or off, not %q", name, value))
			return false
		}
	}
	s.Measure, s.Idle = seconds("BENCH_SECONDS", "5"), seconds("BENCH_IDLE_SECONDS", "10")
	s.OneOrganisation, s.Fsync = onOff("BENCH_ONE_ORGANISATION"), onOff("BENCH_FSYNC")
	if only := getenv("BENCH_ONLY"); only != "" {
		s.Only = strings.Split(only, ",")
		for _, name := range s.Only {
			if !slices.Contains(partNames(), name) {
				problems = append(problems, fmt.Errorf("BENCH_ONLY: %q is none of %s", name, strings.Join(partNames(), ", ")))
			}
		}
	}
	var err error
	s.Through, err = readSize("BENCH_THROUGH", cmp.Or(getenv("BENCH_THROUGH"), "100k"))
	problems = append(problems, err)
	s.Binary, err = filepath.Abs(cmp.Or(getenv("BENCH_BINARY"), "bin/kas-fleet-manager"))
	return s, errors.Join(append(problems, err)...)
}

// readSize reads numbers such as 1000 and 10k.
func readSize(name, text string) (int, error) {
	digits, factor := text, 1
	if short, ok := strings.CutSuffix(text, "k"); ok {
		digits, factor = short, 1000
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n < 1 || n*factor > mostInstances || n*factor < 1000 {
		return 0, fmt.Errorf("%s: %q is no number between 1k and %dk", name, text, mostInstances/1000)
	}
	return n * factor, nil
}

func sizeText(n int) string {
	if n%1000 == 0 {
		return strconv.Itoa(n/1000) + "k"
	}
	return strconv.Itoa(n)
}
