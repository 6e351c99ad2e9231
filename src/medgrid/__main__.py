from medgrid.cli import main

main()
