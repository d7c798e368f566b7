package java

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/braidhq/braid/testing/require"
)

// Jars are the jars that a pom.xml asks for.
type Jars struct {
	// Name is under which require knows them.
	Name string
	// POM is the text of the file.
	POM []byte
}

// Dir returns the directory of the jars, whether or not they are there. Another POM has another directory.
func (j Jars) Dir() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("jars: %w", err)
	}
	hash := sha256.Sum256(j.POM)
	return filepath.Join(cache, "braid", "jars", j.Name+"-"+hex.EncodeToString(hash[:6])), nil
}

// Require returns the files of the jars. Without them, or without Java, the test is skipped, or fails where BRAID_REQUIRE asks for
// them.
func (j Jars) Require(t testing.TB) []string {
	t.Helper()
	Require(t)
	dir, err := j.Dir()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.jar"))
	if err != nil {
		t.Fatal(err)
	}
	require.Component(t, j.Name, len(files) > 0, "fetch its jars with: go run ./testing/java/fetch")
	return files
}

// Require skips the test without Java, or fails it where BRAID_REQUIRE asks for java.
func Require(t testing.TB) {
	t.Helper()
	_, err := exec.LookPath("java")
	require.Component(t, "java", err == nil, "install a Java runtime, for example with apt-get install default-jre-headless")
}

// Fetch has Maven fetch the jars, unless they are there.
func (j Jars) Fetch(ctx context.Context, log io.Writer) error {
	dir, err := j.Dir()
	if err != nil {
		return err
	}
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return fmt.Errorf("jars of %s: %w", j.Name, err)
	}
	part, err := os.MkdirTemp(filepath.Dir(dir), j.Name+"-part-")
	if err != nil {
		return fmt.Errorf("jars of %s: %w", j.Name, err)
	}
	defer os.RemoveAll(part)
	pom := filepath.Join(part, "pom.xml")
	if err := os.WriteFile(pom, j.POM, 0o644); err != nil {
		return fmt.Errorf("jars of %s: %w", j.Name, err)
	}
	jars := filepath.Join(part, "jars")
	c := exec.CommandContext(ctx, "mvn", "--quiet", "--batch-mode", "--file", pom, "dependency:copy-dependencies", "-DincludeScope=runtime",
		"-DoutputDirectory="+jars)
	c.Stdout, c.Stderr = log, log
	if err := c.Run(); err != nil {
		return fmt.Errorf("jars of %s: mvn: %w", j.Name, err)
	}
	if err := os.Rename(jars, dir); err != nil && !errors.Is(err, fs.ErrExist) { // somebody else may have been faster
		return fmt.Errorf("jars of %s: %w", j.Name, err)
	}
	return nil
}
