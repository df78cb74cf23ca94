package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// lockWait is how long the remains of a killed world may take to end.
const lockWait = 30 * time.Second

// folder is where a world writes; one world at a time has it.
type folder struct {
	path string
	lock *os.File
}

// claimFolder takes the folder, or one inside it while another world lives there.
func claimFolder(path string, offset int) (*folder, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("finding the folder: %w", err)
	}
	f, err := claim(path)
	if errors.Is(err, errInUse) {
		inside := filepath.Join(path, "offset-"+strconv.Itoa(offset))
		if f, err = claim(inside); errors.Is(err, errInUse) {
			return nil, fmt.Errorf("worlds live in %s and %s already: stop one, or set another PORT_OFFSET", path, inside)
		}
	}
	return f, err
}

var errInUse = errors.New("claiming the folder: it is in use")

func claim(path string) (*folder, error) {
	// Others may look in, since PostgreSQL may run as another user.
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, fmt.Errorf("making the folder: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(path, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("claiming the folder: %w", err)
	}
	if err := acquire(lock); err != nil {
		_ = lock.Close()
		return nil, err
	}
	_ = lock.Truncate(0) // the pid is a hint for people and for acquire
	_, err = lock.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0)
	return &folder{path: path, lock: lock}, err
}

// acquire waits where the holder is dead: its database guard is about to end.
func acquire(lock *os.File) error {
	for deadline := time.Now().Add(lockWait); ; {
		err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return fmt.Errorf("claiming the folder: %w", err)
		}
		if alive(holder(lock)) || time.Now().After(deadline) {
			return errInUse
		}
		<-time.After(100 * time.Millisecond)
	}
}

func holder(lock *os.File) int {
	raw := make([]byte, 16)
	n, _ := lock.ReadAt(raw, 0)
	pid, _ := strconv.Atoi(strings.TrimSpace(string(raw[:n])))
	return pid
}

func alive(pid int) bool {
	return pid > 0 && !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}

func (f *folder) file(elements ...string) string {
	return filepath.Join(append([]string{f.path}, elements...)...)
}

// write puts a private file in place at once, so that no reader sees half of it.
func (f *folder) write(name, content string) (path string, err error) {
	path = f.file(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", fmt.Errorf("writing %s: %w", name, err)
	}
	draft := path + ".new"
	if err := os.WriteFile(draft, []byte(content), 0o600); err != nil {
		return "", fmt.Errorf("writing %s: %w", name, err)
	}
	if err := os.Rename(draft, path); err != nil {
		return "", fmt.Errorf("writing %s: %w", name, err)
	}
	return path, nil
}

// release gives the folder back. To close the lock is not enough: a child that is
// being started has a copy of it until it runs its own program.
func (f *folder) release() {
	_ = syscall.Flock(int(f.lock.Fd()), syscall.LOCK_UN) // closing is the rest of it
	_ = f.lock.Close()
}
