"""Names that say nothing about who wrote a text, or that are words of everyday speech.

A warning that comes all the time is read by nobody. So what is on these lists is not warned of
where it stands alone: accounts and hosts that thousands have, and names that are common words, too
("Will", "Koch"), which are told only together with a first name or an initial.

All entries are bare (:func:`~p2pboard.draft.folding.bare_text`), their parts joined by a dash or a
dot. The lists are a choice by hand, of English and German; a name that is a word in another
language warns more often than it should.
"""

from __future__ import annotations

#: Accounts that systems and images come with, and what is no name in an address.
ACCOUNTS = frozenset(
    """
    root user users username admin administrator guest test tester testuser demo dev devel
    developer dev-user me myself owner home local localuser host pi ubuntu debian fedora centos
    arch alpine kali mint suse redhat ec2-user core vagrant docker runner github jenkins gitlab
    build builder ci work worker office staff student teacher lab desktop laptop notebook pc
    computer server service system daemon nobody www www-data git node app apps default public
    shared all benutzer gast live liveuser debian-live jovyan codespace coder postgres mysql oracle
    sysadmin operator support linuxbrew info mail web webmaster contact hello noreply no-reply anon
    anonymous unknown none name
    """.split()
)

#: What hosts are called that nobody gave a name.
HOSTS = frozenset(
    """
    localhost localhost.localdomain ip6-localhost ip6-loopback localdomain local laptop desktop
    notebook netbook computer pc mypc macbook macbook-pro macbook-air imac mac-mini mac thinkpad
    surface chromebook tablet phone iphone android workstation server host router gateway firewall
    printer nas debian ubuntu fedora arch archlinux linux windows raspberrypi raspberry pi vm
    virtualbox vmware docker container kubernetes buildkitsandbox runsc runner box home office
    work test dev demo default unknown none penguin nixos manjaro mint pop-os kali centos suse
    """.split()
)

#: Domains that come with a router or with nothing; and what is above the domains that people own.
DOMAINS = frozenset(
    """
    local localdomain lan home home.arpa internal intranet private corp invalid test example
    example.com example.org example.net fritz.box speedport.ip box router dhcp domain workgroup
    com org net edu gov int io dev co.uk ac.uk org.uk gov.uk com.au co.jp co.nz com.br com.cn
    edu.cn gov.cn org.cn co.in co.za co.kr
    """.split()
)

#: Connections as NetworkManager calls them, and networks that are everywhere.
NETWORKS = frozenset(
    """
    wired wired-connection kabelgebundene-verbindung wifi wi-fi wlan lan ethernet hotspot guest
    gast guests free freewifi free-wifi public home office default internet network netzwerk vpn
    eduroam freifunk loopback bridge docker auto local lo
    """.split()
)

#: Parts of names that are no names by themselves.
PARTICLES = frozenset(
    """
    von van der den dem des del della dos das bin ibn abu ben the and und zum zur mac san saint
    sankt dr prof mrs miss herr frau dipl ing inc ltd gmbh llc team group
    """.split()
)

#: Names that are everyday words, too.
WORDS = frozenset(
    """
    abbot amber angel april art august autumn baker banks bell berry best bill bird bishop black
    blue bond bright brook brown buck buddy bush butler carpenter case cash chance chase chip
    christian church cliff cloud cook cotton crane cross curry dawn day dean drew duke earl early
    easter ever fair faith farmer field fields fisher flowers ford forest fox frank free frost
    gates glass glory good grace grant gray green grey guy hall hand harmony heath heather hill
    hills hook hope house hunt hunter ivy jack jersey jewel job joy june justice key king knight
    lake lamb land lane law lily little long love lucky major marble mark marks marsh max may mayor
    melody mercy merry mile miles mills miner moon moss noble norm north oak old olive page paris
    park parks patience pat pearl penny pepper pope porter potter power price prince queen rain
    ray read reed rich river robin rock rod rose row ruby rush rusty sage sales sand sandy savage
    sergeant shade sharp shepherd short silver singer sky small smart snow south spring star stark
    steel sterling stone storm stout street strong sue summer sun swan sweet swift temple tiger
    town trinity trip violet walker wall walls ward waters weeks wells west white wild will wills
    winter wise wolf wood woods worth yard young

    adler alt arm bar bauer baum berg blau blume brand braun bruder bunt engel ernst fleischer frei
    freitag freund froh fruh fuchs furst fuss ganz graf gross grun gut haar hahn hammer hase haupt
    heilig heiss held herbst herz hirsch hoch hof holz horn jager jung kaiser kalt kern kirsch klein
    klug koch konig kopf kraft kunst kurz lang lange lehrer lustig maler mann meister montag nagel
    nass neu ost pfeffer pfeil rabe recht reich reif richter ritter rot sauer schafer schatz schild
    schon schwarz sommer sonne sonntag spatz spiegel stein stern still storch sturm suss tag tanne
    teich vogel voll wald weiss winkel wirt zorn
    """.split()
)
