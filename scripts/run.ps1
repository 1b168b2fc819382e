# Sets up everything that is missing, then runs Segue (not tested yet).
# usage: scripts\run.ps1 [--once] [what `segue serve` takes]
Set-Location (Join-Path $PSScriptRoot "..")
. .\scripts\setup.ps1
Set-Up
& .venv\Scripts\segue.exe serve @args
exit $LASTEXITCODE
