# Dot-sourced by run.ps1 and test.ps1: makes .venv with the locked packages. Written for Windows 10 and newer;
# not tested yet. PortAudio comes with the Python package there.
$ErrorActionPreference = "Stop"

function Find-Python {
    foreach ($version in "3.13", "3.12", "3.11") {
        & py "-$version" -c "import sys" 2>$null
        if ($LASTEXITCODE -eq 0) { return @("py", "-$version") }
    }
    throw "segue: Segue needs Python 3.11 or newer; run: winget install Python.Python.3.12"
}

function Get-Stamp {
    (Get-FileHash requirements.lock).Hash + (Get-FileHash pyproject.toml).Hash
}

function Set-Up {
    $python = ".venv\Scripts\python.exe"
    if (-not (Test-Path $python)) {
        $found = Find-Python
        Write-Host "segue: making a virtual environment in .venv"
        & $found[0] $found[1] -m venv .venv
    }
    $stamp = ".venv\.segue-stamp"
    if ((Test-Path $stamp) -and ((Get-Content $stamp) -eq (Get-Stamp))) { return }
    Write-Host "segue: installing Python packages; the first time this takes a few minutes and about 1 GB"
    & $python -m pip install --disable-pip-version-check -r requirements.lock
    if ($LASTEXITCODE -ne 0) { exit 1 }
    & $python -m pip install --disable-pip-version-check --no-deps -e .
    if ($LASTEXITCODE -ne 0) { exit 1 }
    Get-Stamp | Set-Content $stamp
}
