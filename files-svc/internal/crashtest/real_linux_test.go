package crashtest

import (
	"bytes"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"cloakroom.dev/files-svc/internal/adapter/disk"
)

// serveFor starts a child on a folder, and stops it when the test ends.
func serveFor(t *testing.T, folder string) *process {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	sockets, err := os.MkdirTemp("", "ct-") //nolint:usetesting // the test's own folder may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(sockets) })
	p, err := start(t.Context(), []string{program, "crashtest-child"},
		job{Store: "sound", Folder: folder, Socket: filepath.Join(sockets, "s")}, filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	return p
}

// upload sends content and returns the status, and the id of what was stored.
func upload(t *testing.T, p *process, content []byte) (int, string) {
	t.Helper()
	res, err := p.send(t.Context(), "POST", "/v1/files", bytes.NewReader(content),
		"Content-Type", "application/octet-stream", "Content-Disposition", `attachment; filename="f"`)
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ ID string }
	if res.status == http.StatusCreated {
		if err := json.Unmarshal(res.body, &file); err != nil {
			t.Fatal(err)
		}
	}
	return res.status, file.ID
}

func mustUpload(t *testing.T, p *process, content []byte) string {
	t.Helper()
	status, id := upload(t, p, content)
	if status != http.StatusCreated {
		t.Fatalf("upload: status %d", status)
	}
	return id
}

func wantRead(t *testing.T, p *process, id string, content []byte) {
	t.Helper()
	res, err := p.send(t.Context(), "GET", "/v1/files/"+id+"/content", nil)
	if err != nil || res.status != http.StatusOK || !bytes.Equal(res.body, content) {
		t.Errorf("read: status %d, %d bytes, %v", res.status, len(res.body), err)
	}
}

// strace injects a fault into the system calls of a process until the returned function is called.
func strace(t *testing.T, p *process, args ...string) (stop func()) {
	t.Helper()
	pid := strconv.Itoa(p.cmd.Process.Pid)
	cmd := exec.Command("strace", append([]string{"-f", "-qq", "-o", filepath.Join(t.TempDir(), "trace"), "-p", pid}, args...)...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); !traced(t, pid); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			_ = cmd.Process.Kill()
			said, _ := io.ReadAll(stderr)
			t.Fatalf("strace does not hold the process: %s", said)
		}
	}
	return func() {
		_ = cmd.Process.Signal(syscall.SIGINT)
		_ = cmd.Wait()
	}
}

// traced reports whether every thread of a process is being traced.
func traced(t *testing.T, pid string) bool {
	t.Helper()
	tasks, err := os.ReadDir(filepath.Join("/proc", pid, "task"))
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		status, _ := os.ReadFile(filepath.Join("/proc", pid, "task", task.Name(), "status"))
		if strings.Contains(string(status), "TracerPid:\t0\n") {
			return false
		}
	}
	return true
}

// TestStrace_RealErrnos injects errors below everything that is ours: the kernel's own answers to the disk adapter and to
// SQLite.
func TestStrace_RealErrnos(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("strace is missing")
		}
		t.Log("NOT RUN for want of strace: faults injected into system calls")
		return
	}
	folder := t.TempDir()
	p := serveFor(t, folder)
	content := bytes.Repeat([]byte("content "), 16<<10) // enough for a file without a name, which gets one by linkat
	id := mustUpload(t, p, content)
	for _, tc := range []struct {
		calls, errno string
		want         int
	}{
		{"fsync", "EIO", http.StatusServiceUnavailable},
		{"fsync", "ENOSPC", http.StatusInsufficientStorage},
		{"linkat", "EIO", http.StatusServiceUnavailable},
		{"linkat", "ENOSPC", http.StatusInsufficientStorage},
		{"pwrite64", "ENOSPC", http.StatusInsufficientStorage}, // of SQLite: blobs are written with write
		{"pwrite64", "EIO", http.StatusServiceUnavailable},
	} {
		stop := strace(t, p, "-e", "trace="+tc.calls, "-e", "inject="+tc.calls+":error="+tc.errno)
		status, _ := upload(t, p, content)
		wantRead(t, p, id, content)
		stop()
		if status != tc.want {
			t.Errorf("%s fails with %s: status %d, want %d", tc.calls, tc.errno, status, tc.want)
		}
		wantRead(t, p, mustUpload(t, p, content), content)
	}
	brokenPack(t, p, folder)
	unreadable(t, p, folder)
}

// brokenPack holds that who shares a sync that fails is refused, that the pack takes nothing more, and that what it has is read.
func brokenPack(t *testing.T, p *process, folder string) {
	t.Helper()
	before, between := []byte("before it breaks"), []byte("while it breaks")
	id := mustUpload(t, p, before)
	var pack string
	for path := range blobsBelow(t, folder) {
		if filepath.Base(path) == disk.PackName {
			pack = path
		}
	}
	stop := strace(t, p, "-P", pack, "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO")
	status, _ := upload(t, p, between)
	stop()
	if status != http.StatusServiceUnavailable {
		t.Errorf("fdatasync of the pack fails: status %d", status)
	}
	was, err := os.Stat(pack)
	if err != nil {
		t.Fatal(err)
	}
	wantRead(t, p, mustUpload(t, p, between), between)
	wantRead(t, p, id, before)
	if is, err := os.Stat(pack); err != nil || is.Size() != was.Size() {
		t.Errorf("the pack has grown after its failure (%v)", err)
	}
}

// unreadable holds that a disk that can't be read cuts a download, and never ends it short.
func unreadable(t *testing.T, p *process, folder string) {
	t.Helper()
	before := blobsBelow(t, folder)
	content := bytes.Repeat([]byte("content "), 256<<10)
	id := mustUpload(t, p, content)
	var blob string
	for path := range blobsBelow(t, folder) {
		if !before[path] {
			blob = path
		}
	}
	if blob == "" {
		t.Fatal("the upload has no blob")
	}
	stop := strace(t, p, "-P", blob, "-e", "trace=pread64", "-e", "inject=pread64:error=EIO:when=4+")
	res, err := p.send(t.Context(), "GET", "/v1/files/"+id+"/content", nil)
	stop()
	if err == nil && res.status == http.StatusOK {
		t.Errorf("a file that can't be read came as %d of %d bytes, and nobody was told", len(res.body), len(content))
	}
	t.Logf("the download ended with status %d and %v", res.status, err)
	wantRead(t, p, id, content)
}

func blobsBelow(t *testing.T, folder string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	err := filepath.WalkDir(filepath.Join(folder, BlobFolder), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			found[path] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestFullDisk_OverHTTP fills a real small filesystem with bytes, and then takes away the right to write.
func TestFullDisk_OverHTTP(t *testing.T) {
	folder := t.TempDir()
	blobs := filepath.Join(folder, BlobFolder)
	if err := os.Mkdir(blobs, 0o700); err != nil {
		t.Fatal(err)
	}
	mount := func(flags uintptr) error { return syscall.Mount("tmpfs", blobs, "tmpfs", flags, "size=4m") }
	if err := mount(0); err != nil {
		t.Logf("NOT RUN ON A REAL FULL DISK: mounting one takes root (%v)", err)
		return
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(blobs, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	p := serveFor(t, folder)
	content := bytes.Repeat([]byte("content "), 128<<10)
	id := mustUpload(t, p, content)
	status := http.StatusCreated
	for n := 0; status == http.StatusCreated && n < 8; n++ {
		status, _ = upload(t, p, content)
	}
	if status != http.StatusInsufficientStorage {
		t.Errorf("full: status %d", status)
	}
	wantRead(t, p, id, content)
	if err := mount(syscall.MS_REMOUNT | syscall.MS_RDONLY); err != nil {
		t.Fatal(err)
	}
	if status, _ := upload(t, p, []byte("x")); status != http.StatusServiceUnavailable {
		t.Errorf("read-only: status %d", status)
	}
	wantRead(t, p, id, content)
}
