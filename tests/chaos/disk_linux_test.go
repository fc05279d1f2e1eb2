package chaos

import (
	"bytes"
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

	"cloakroom.dev/tests/harness"
)

// TestDisk_ErrorsOfTheKernelThroughTheGateway lets the kernel refuse what the stack asks of its disk, and looks at what clients hear.
func TestDisk_ErrorsOfTheKernelThroughTheGateway(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("strace is missing")
		}
		t.Log("NOT RUN for want of strace: faults injected into system calls")
		return
	}
	stack := harness.Start(t)
	ada := harness.NewClient(t, stack.Public).SignUp()
	content := bytes.Repeat([]byte("content "), 64<<10)
	id := ada.Upload("before", content).Is(201).File().ID
	for _, tc := range []struct {
		call, errno string
		status      int
	}{
		{"fsync", "EIO", http.StatusServiceUnavailable},
		{"fsync", "ENOSPC", http.StatusInsufficientStorage},
		{"linkat", "EIO", http.StatusServiceUnavailable},
		{"linkat", "ENOSPC", http.StatusInsufficientStorage},
		{"pwrite64", "ENOSPC", http.StatusInsufficientStorage}, // of the catalogue
		{"pwrite64", "EIO", http.StatusServiceUnavailable},
	} {
		release := inject(t, stack, "-e", "trace="+tc.call, "-e", "inject="+tc.call+":error="+tc.errno)
		a := ada.Try("POST", "/v1/files", bytes.NewReader(content), harness.Raw(tc.call+" "+tc.errno))
		read := ada.Try("GET", "/v1/files/"+id+"/content", nil)
		release()
		if a.Err != nil || a.Status != tc.status || !strings.Contains(a.Header.Get("Content-Type"), "problem+json") {
			t.Errorf("%s fails with %s: %d %s, %v; want %d", tc.call, tc.errno, a.Status, a.Body, a.Err, tc.status)
		}
		if read.Err != nil || !bytes.Equal(read.Body, content) {
			t.Errorf("%s fails with %s: meanwhile a read got %d, %v", tc.call, tc.errno, read.Status, read.Err)
		}
		ada.Upload("after", content).Is(201)
	}
	var page struct{ Items []harness.File }
	ada.Do("GET", "/v1/files?limit=100", nil).Is(200).JSON(&page)
	for _, f := range page.Items {
		if f.Name != "before" && f.Name != "after" {
			t.Errorf("an upload that was refused left %+v", f)
		}
	}
	cutReads(t, stack, ada)
}

// cutReads holds that bytes the disk does not give are never a short answer that looks whole.
func cutReads(t *testing.T, stack *harness.Stack, ada *harness.Client) {
	t.Helper()
	content := bytes.Repeat([]byte("unreadable "), 400_000)
	f := ada.Upload("unreadable", content).Is(201).File()
	release := inject(t, stack, "-P", holding(t, stack, content), "-e", "trace=pread64", "-e", "inject=pread64:error=EIO:when=4+")
	a := ada.Try("GET", "/v1/files/"+f.ID+"/content", nil)
	release()
	if a.Err == nil && a.Status == 200 {
		t.Errorf("%d of %d bytes came, and nobody was told", len(a.Body), len(content))
	}
}

// holding is the file of the store with exactly these bytes.
func holding(t *testing.T, stack *harness.Stack, content []byte) (found string) {
	t.Helper()
	_ = filepath.WalkDir(filepath.Join(stack.Dir, "blobs"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if raw, _ := os.ReadFile(path); bytes.Equal(raw, content) {
				found = path
			}
		}
		return nil
	})
	if found == "" {
		t.Fatal("the store does not have these bytes")
	}
	return found
}

// inject makes system calls of the stack fail until release is called.
func inject(t *testing.T, stack *harness.Stack, args ...string) (release func()) {
	t.Helper()
	pid := strconv.Itoa(stack.Pid())
	cmd := exec.Command("strace", append([]string{"-f", "-qq", "-o", filepath.Join(t.TempDir(), "trace"), "-p", pid}, args...)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); !held(pid); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			_ = cmd.Process.Kill()
			t.Fatal("strace does not hold the process")
		}
	}
	return func() {
		_ = cmd.Process.Signal(syscall.SIGINT)
		_ = cmd.Wait()
	}
}

// held reports whether every thread of a process is being traced.
func held(pid string) bool {
	paths, _ := filepath.Glob("/proc/" + pid + "/task/*/status")
	for _, path := range paths {
		if raw, _ := os.ReadFile(path); strings.Contains(string(raw), "TracerPid:\t0\n") {
			return false
		}
	}
	return len(paths) > 0
}

// TestDisk_FullOneThroughTheGateway fills a real small filesystem, by every way in, and then takes away the right to write.
func TestDisk_FullOneThroughTheGateway(t *testing.T) {
	dir := t.TempDir()
	blobs := filepath.Join(dir, "blobs")
	if err := os.Mkdir(blobs, 0o700); err != nil {
		t.Fatal(err)
	}
	mount := func(flags uintptr, size string) error {
		return syscall.Mount("tmpfs", blobs, "tmpfs", flags, "size="+size)
	}
	if err := mount(0, "4m"); err != nil {
		t.Logf("NOT RUN ON A REAL FULL DISK: mounting one takes root (%v)", err)
		return
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(blobs, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	config := harness.ConfigDir(t, harness.Replace(t, "  storagePolicyRef:", "  keepFree: 4Ki\n  storagePolicyRef:"))
	stack := harness.StartIn(t, dir, "CONFIG_DIR="+config)
	ada := harness.NewClient(t, stack.Public).SignUp()
	content := bytes.Repeat([]byte("content "), 128<<10)
	f := ada.Upload("first", content).Is(201).File()
	at := ada.Do("POST", "/v1/uploads", nil, tus("Upload-Length", "1048576")).Is(201).Header.Get("Location")
	kept := 1
	for a := ada.Upload("more", content); ; a = ada.Upload("more", content) {
		if a.Status != 201 || kept > 8 {
			a.Refused(http.StatusInsufficientStorage, "UNAVAILABLE")
			break
		}
		kept++
	}
	ada.UploadForm("form", content).Refused(http.StatusInsufficientStorage, "UNAVAILABLE")
	ada.Do("PATCH", at, bytes.NewReader(content), tus("Upload-Offset", "0", "Content-Type", "application/offset+octet-stream")).Refused(http.StatusInsufficientStorage, "UNAVAILABLE")
	ada.Do("PUT", "/v1/files/"+f.ID+"/content", bytes.NewReader(content)).Refused(http.StatusInsufficientStorage, "UNAVAILABLE")
	holds := func() {
		t.Helper()
		var usage struct{ Bytes, Files int64 }
		ada.Do("GET", "/v1/files/usage", nil).Is(200).JSON(&usage)
		if usage.Files != int64(kept) || usage.Bytes != int64(kept*len(content)) {
			t.Errorf("usage is %+v of %d files", usage, kept)
		}
		if a := ada.Do("GET", "/v1/files/"+f.ID+"/content", nil).Is(200); !bytes.Equal(a.Body, content) {
			t.Error("reads are disturbed")
		}
	}
	holds()
	if err := mount(syscall.MS_REMOUNT, "16m"); err != nil {
		t.Fatal(err)
	}
	ada.Do("PATCH", at, bytes.NewReader(content), tus("Upload-Offset", "0", "Content-Type", "application/offset+octet-stream")).Is(204)
	ada.UploadForm("form", content).Is(201)
	kept += 2
	if err := mount(syscall.MS_REMOUNT|syscall.MS_RDONLY, "16m"); err != nil {
		t.Fatal(err)
	}
	ada.Upload("x", []byte("x")).Refused(http.StatusServiceUnavailable, "UNAVAILABLE")
	holds()
}

// tus sets a request's headers to those of tus 1.0 and the pairs given.
func tus(pairs ...string) harness.Option {
	return func(r *http.Request) {
		r.Header.Set("Tus-Resumable", "1.0.0")
		for i := 0; i+1 < len(pairs); i += 2 {
			r.Header.Set(pairs[i], pairs[i+1])
		}
	}
}
