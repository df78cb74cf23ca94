package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is who the server runs as. PostgreSQL refuses root, so root's servers
// run as the system's postgres user, or as nobody.
type account struct {
	uid, gid uint32
	drop     bool // this process is root and must change user
}

func unprivileged() (account, error) {
	if os.Geteuid() != 0 {
		return account{uid: uint32(os.Geteuid()), gid: uint32(os.Getegid())}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errUID := strconv.ParseUint(found.Uid, 10, 32)
		gid, errGID := strconv.ParseUint(found.Gid, 10, 32)
		if errUID == nil && errGID == nil {
			return account{uid: uint32(uid), gid: uint32(gid), drop: true}, nil
		}
	}
	return account{}, errors.New("running as root: PostgreSQL needs a user postgres or nobody to run as")
}

// command runs a program as the account, with little environment: PGHOST and its
// kin belong to other servers.
func (a account) command(ctx context.Context, dir, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "HOME=" + dir}
	// A session of its own: Ctrl-C at the terminal is not for the server.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if a.drop {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
	}
	return cmd
}

func (a account) own(path string) error {
	if !a.drop {
		return nil
	}
	if err := os.Lchown(path, int(a.uid), int(a.gid)); err != nil {
		return fmt.Errorf("giving a file to the server's user: %w", err)
	}
	return nil
}

// place gives a folder for the server that its user can reach: one inside home, or
// one under the system's temporary folder when a parent of home is closed to it.
func (a account) place(ctx context.Context, home string) (string, error) {
	inside := filepath.Join(home, "server")
	if err := a.folder(inside); err != nil {
		return "", err
	}
	if a.reaches(ctx, inside) {
		return inside, nil
	}
	_ = os.Remove(inside)
	sum := sha256.Sum256([]byte(home))
	outside := filepath.Join(os.TempDir(), "kfm-postgres-"+hex.EncodeToString(sum[:6]))
	if err := a.folder(outside); err != nil {
		return "", err
	}
	if !a.reaches(ctx, outside) {
		return "", fmt.Errorf("user %d, whom PostgreSQL must run as, reaches neither %s nor %s", a.uid, home, outside)
	}
	return outside, nil
}

// temp makes a new folder of the account under the system's temporary folder.
func (a account) temp(prefix string) (string, error) {
	dir, err := os.MkdirTemp("", prefix)
	if err != nil {
		return "", fmt.Errorf("making a temporary folder: %w", err)
	}
	return dir, a.own(dir)
}

// folder makes a private folder of the account. One that is there must be its
// own, else another user of the machine could have laid it out.
func (a account) folder(path string) error {
	err := os.Mkdir(path, 0o700)
	if err == nil {
		return a.own(path)
	}
	info, err := os.Lstat(path)
	if err != nil {
		return fmt.Errorf("making the server's folder: %w", err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() || stat.Uid != a.uid {
		return fmt.Errorf("making the server's folder: %s is not a folder of the server's user", path)
	}
	return nil
}

func (a account) reaches(ctx context.Context, dir string) bool {
	return a.command(ctx, "/", "/bin/sh", "-c", `cd "$1" && test -w .`, "sh", dir).Run() == nil
}
