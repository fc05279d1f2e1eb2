// Command pocketbase serves PocketBase, as its makers publish it, with one collection of files that anybody may add to. It prints its
// address and runs until it is killed.
package main

import (
	"flag"
	"fmt"
	"net"
	"os"

	"github.com/pocketbase/pocketbase/apis"
	"github.com/pocketbase/pocketbase/core"
	_ "github.com/pocketbase/pocketbase/migrations" // its own tables
)

// maxBytes lets the largest file of a comparison in.
const maxBytes = 1 << 30

func main() {
	dir := flag.String("dir", "", "folder of its data")
	flag.Parse()
	if err := serve(*dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(dir string) error {
	app := core.NewBaseApp(core.BaseAppConfig{DataDir: dir})
	if err := app.Bootstrap(); err != nil {
		return fmt.Errorf("start PocketBase: %w", err)
	}
	if err := app.RunAllMigrations(); err != nil {
		return fmt.Errorf("make its tables: %w", err)
	}
	anybody := ""
	files := core.NewBaseCollection("files")
	files.CreateRule, files.ViewRule = &anybody, &anybody
	files.Fields.Add(&core.FileField{Name: "file", MaxSize: maxBytes, MaxSelect: 1})
	if err := app.Save(files); err != nil {
		return fmt.Errorf("make the collection: %w", err)
	}
	address, err := free()
	if err != nil {
		return err
	}
	app.OnServe().BindFunc(func(e *core.ServeEvent) error {
		e.InstallerFunc = nil // opens a page to make an admin
		return e.Next()
	})
	fmt.Println("http://" + address)
	return apis.Serve(app, apis.ServeConfig{HttpAddr: address})
}

// free is a loopback address nobody listens on right now.
func free() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("look for a port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}
